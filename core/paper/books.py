"""An account's books: cash, position, and what came of them. Whole numbers of units (`rules`)."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.market.decimals import exact
from core.market.paper import Equity
from core.paper.rules import MONEY, PLACES

State = tuple[Any, ...]
"""Plain values."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A price at which positions are valued: the close of a kline.

    Attributes:
        key: The instrument's key.
        time_us: Last microsecond of the kline.
        interval: Name of its interval.
        price: In units.
        shown: The same as a decimal.

    """

    key: str
    time_us: int
    interval: str
    price: int
    shown: Decimal


@dataclass(slots=True)
class Books:
    """Of one account, or of all of an instrument together.

    Always, exactly::

        equity = cash + position * price
        equity = start + realised + unrealised - fees
        unrealised = position * price - cost

    Attributes:
        start: Cash in the beginning.
        cost: What the open position was bought for; negative: what it was sold for.
        best: Highest profit at a valuation so far, at least 0; ``start + best`` is the peak.
        fills: How many there were.
        changed: Whether there was one since the last row.

    """

    start: int = 0
    cash: int = 0
    position: int = 0
    cost: int = 0
    realised: int = 0
    fees: int = 0
    best: int = 0
    fills: int = 0
    changed: bool = False
    # What does not move between fills, as decimals: most rows have the same again.
    _shown: tuple[Decimal, ...] = ()

    def deposit(self, cash: int) -> None:
        """Take cash that is no profit."""
        self.start += cash
        self.cash += cash
        self._shown = ()

    def book(self, delta: int, price: int, realised: int, fee: int) -> None:
        """Take a fill: `delta` is what the position changes by."""
        self.cash -= delta * price + fee
        self.position += delta
        self.cost += delta * price + realised
        self.realised += realised
        self.fees += fee
        self.fills += 1
        self.changed = True
        self._shown = ()

    def equity_at(self, price: int) -> int:
        """Return what all of it is worth."""
        return self.cash + self.position * price

    def row(self, mark: Mark, seq: int, instance: str, strategy: str) -> Equity:
        """Return what is said at a valuation, which this is."""
        value = self.position * mark.price
        equity = self.cash + value
        if equity - self.start > self.best:
            self.best = equity - self.start
            self._shown = ()
        if not self._shown:
            self._shown = (
                exact(self.position, PLACES),
                *(
                    exact(units, MONEY)
                    for units in (self.cash, self.realised, self.fees, self.start + self.best)
                ),
            )
        self.changed = False
        position, cash, realised, fees, peak = self._shown
        return Equity(
            mark.key,
            mark.time_us,
            seq,
            instance,
            strategy,
            mark.interval,
            mark.shown,
            position,
            cash,
            exact(equity, MONEY),
            realised,
            exact(value - self.cost, MONEY),
            fees,
            peak,
            self.fills,
        )

    def books(self) -> State:
        """Return the numbers."""
        return (
            self.start, self.cash, self.position, self.cost, self.realised, self.fees, self.best,
            self.fills, self.changed,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """A target that waits for its price.

    Attributes:
        target: 1 long, -1 short, 0 flat.
        after_us: Only later prices count.
        signal_seq: Position of the signal.
        reason: Why.
        step: What the quantity is a multiple of, in units.

    """

    target: int
    after_us: int
    signal_seq: int
    reason: str
    step: int


@dataclass(slots=True)
class Account(Books):
    """One instance on one instrument.

    Attributes:
        signal_seq: Position of its last signal.
        order: What waits for a price.
        stopped: Bankrupt: it does nothing any more.
        ending: Its instance was removed: it goes once it is flat and has said so.

    """

    instance: str = ""
    strategy: str = ""
    interval: str = ""
    signal_seq: int = 0
    order: Order | None = None
    stopped: bool = False
    ending: bool = False

    @property
    def side(self) -> int:
        """What is held: 1 long, -1 short, 0 nothing."""
        return (self.position > 0) - (self.position < 0)

    @property
    def entry(self) -> int:
        """Price of the position: it is one fill's, so nothing is averaged."""
        return self.cost // self.position if self.position else 0

    def snapshot(self) -> State:
        """Return the state as plain values."""
        order = self.order
        waits = (
            ()
            if order is None
            else (order.target, order.after_us, order.signal_seq, order.reason, order.step)
        )
        own = (self.instance, self.strategy, self.interval, self.signal_seq)
        return (*self.books(), own, waits, self.stopped, self.ending)

    @classmethod
    def restore(cls, state: State) -> "Account":
        """Return what `snapshot` was taken of."""
        *books, own, waits, stopped, ending = state
        account = cls(*books)
        account.instance, account.strategy, account.interval, account.signal_seq = own
        account.order = Order(*waits) if waits else None
        account.stopped, account.ending = stopped, ending
        return account
