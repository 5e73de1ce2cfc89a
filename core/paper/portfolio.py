"""Signals and prices in, fills and equity out: all accounts of one instrument. Pure.

    signal ─► order ─► the first price after it ─► fill ─► books ─► equity at each final kline

A signal names a position, not a deal: one for the position already held does nothing, and a newer
one replaces the order of an older. Rows are the same however the data were batched.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from core.market.decimals import exact, to_text
from core.market.errors import SnapshotError
from core.market.kline import Kline, Status
from core.market.paper import TOTAL, Equity, Fill
from core.market.position import Positions
from core.market.signal import Side, Signal
from core.market.trades import Trades
from core.paper.books import Account, Books, Mark, Order, State
from core.paper.config import PaperConfig
from core.paper.rules import MONEY, PLACES, Rules

Row: TypeAlias = Fill | Equity

_VERSION = "paper-1"
_TARGETS = {Side.LONG: 1, Side.SHORT: -1, Side.FLAT: 0}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know of an account and that is no row.

    Attributes:
        kind: ``unfilled`` or ``bankrupt``.
        instance: The account's.
        strategy: Its strategy.
        detail: What happened.

    """

    kind: str
    instance: str
    strategy: str
    detail: str


class Portfolio:
    """All accounts of one instrument; each begins with its first signal.

    Args:
        key: The instrument's key.
        config: How accounts trade. What is held outlasts a change of it.
        total: Name of the interval at whose closes the total is told: the shortest there is.

    Attributes:
        notices: What happened since somebody last cleared them.

    """

    def __init__(self, key: str, config: PaperConfig, total: str) -> None:
        self.key = key
        self.notices: list[Notice] = []
        self._config = config
        self._total_interval = total
        self._accounts: dict[str, Account] = {}
        self._waiting: dict[str, Account] = {}  # those with an order, in the order of their signals
        self._total = Books()
        self._places = 0  # finest decimal places of a quantity so far
        self._fills = Positions()
        self._equities = Positions()
        self._rules: dict[str, Rules] = {}

    def on_signal(self, signal: Signal) -> None:
        """Take a signal: it waits for its price."""
        account = self._accounts.get(signal.instance)
        target = _TARGETS[signal.side]
        rules = self._rules_of(signal.instance)
        if target < 0 and not rules.short:
            target = 0
        if account is None:
            if not target:
                return
            account = Account(start=rules.cash, cash=rules.cash, instance=signal.instance)
            self._accounts[signal.instance] = account
        if account.stopped:
            return
        account.strategy, account.interval = signal.strategy, signal.interval.name
        account.signal_seq, account.ending = signal.seq, False
        self._order(account, target, signal.close_us, signal.reason)

    def on_removed(self, instance: str, time_us: int) -> None:
        """Take the news that an instance was removed: its account closes at the next price."""
        account = self._accounts.get(instance)
        if account is None:
            return
        account.ending = True
        self._order(account, 0, time_us, "instance removed")
        self._forget_ended()

    def on_trades(self, trades: Trades) -> list[Row]:
        """Take trades in id order; return what they fill."""
        if not self._waiting or not len(trades):
            return []
        firsts: dict[int, int] = {}
        found: list[tuple[int, Account, Order]] = []
        for account in self._waiting.values():
            order = account.order
            if order is None or self._rules_of(account.instance).at_open:
                continue
            if order.after_us not in firsts:
                firsts[order.after_us] = _first_after(trades, order.after_us)
            if firsts[order.after_us] >= 0:
                found.append((firsts[order.after_us], account, order))
        found.sort(key=lambda each: each[0])  # of the same row, in the order of their signals
        out: list[Row] = []
        for at, account, order in found:
            price = _units(int(trades.price[at]), trades.price_scale)
            out += self._filled(account, order, price, int(trades.time_us[at]))
        return out

    def on_kline(self, kline: Kline) -> list[Row]:
        """Take a kline; return what its open fills, and what accounts are worth at its close.

        Forming klines and those that are issued again change nothing.
        """
        if kline.status is not Status.FINAL or kline.revision:
            return []
        out: list[Row] = []
        # Files of six columns have volumes and no count of trades.
        if self._waiting and (kline.trades or kline.volume_units):
            out = self._at_open(kline)
        self._places = min(PLACES, max(self._places, kline.quantity_scale))
        price = _units(kline.close_units, kline.price_scale)
        name = kline.interval.name
        mark = Mark(self.key, kline.close_us, name, price, exact(price, PLACES))
        for account in self._accounts.values():
            if (account.position or account.changed) and account.interval == name:
                self._value(account, mark, out)
        total = self._total
        if name == self._total_interval and (total.position or total.changed):
            out.append(total.row(mark, self._equities.at(mark.time_us), TOTAL, ""))
        self._forget_ended()
        return out

    def snapshot(self) -> State:
        """Return the state as plain values."""
        return (
            _VERSION, self.key, self._fills.last, self._equities.last, self._places,
            self._total.books(), tuple(a.snapshot() for a in self._accounts.values()),
            tuple(self._waiting),
        )  # fmt: skip

    @classmethod
    def restore(cls, state: State, config: PaperConfig, total: str) -> "Portfolio":
        """Return what `snapshot` was taken of, with the settings of now.

        Raises:
            SnapshotError: It is of another version.

        """
        if not state or state[0] != _VERSION:
            raise SnapshotError("paper", state[0] if state else None, _VERSION)
        key, fills, equities, places, books, accounts, waiting = state[1:]
        found = cls(key, config, total)
        found._fills.last, found._equities.last, found._places = fills, equities, places
        found._total = Books(*books)
        found._accounts = {a.instance: a for a in map(Account.restore, accounts)}
        found._waiting = {name: found._accounts[name] for name in waiting}
        return found

    # ---- orders ----

    def _order(self, account: Account, target: int, after_us: int, reason: str) -> None:
        account.order = None
        self._waiting.pop(account.instance, None)
        if target != account.side:
            step = 10 ** (PLACES - self._places)
            account.order = Order(target, after_us, account.signal_seq, reason, step)
            self._waiting[account.instance] = account

    def _at_open(self, kline: Kline) -> list[Row]:
        out: list[Row] = []
        price, name = _units(kline.open_units, kline.price_scale), kline.interval.name
        for account in list(self._waiting.values()):
            order = account.order
            if order is not None and account.interval == name and kline.open_us > order.after_us:
                out += self._filled(account, order, price, kline.open_us)
        return out

    def _filled(self, account: Account, order: Order, price: int, time_us: int) -> list[Row]:
        account.order = None
        self._waiting.pop(account.instance, None)
        rules = self._rules_of(account.instance)
        held = account.position
        paid = rules.paid(price, buys=(order.target or -account.side) > 0)
        size = 0
        if order.target:
            left = account.equity_at(paid) - rules.fee_of(abs(held) * paid)
            size = rules.size_of(left, paid, order.step)
            if not size:
                self._unfilled(account, order, left)
        delta = order.target * size - held
        if not delta:
            return []
        fee, realised = rules.fee_of(abs(delta) * paid), held * paid - account.cost
        if not account.fills:
            self._total.deposit(account.start)
        for books in (account, self._total):
            books.book(delta, paid, realised, fee)
        return [self._fill(account, order, (delta, paid, realised, fee), time_us)]

    def _fill(
        self, account: Account, order: Order, deal: tuple[int, int, int, int], time_us: int
    ) -> Fill:
        delta, paid, realised, fee = deal
        return Fill(
            key=self.key,
            time_us=time_us,
            seq=self._fills.at(time_us),
            instance=account.instance,
            strategy=account.strategy,
            interval=account.interval,
            side="buy" if delta > 0 else "sell",
            price=exact(paid, PLACES),
            quantity=exact(abs(delta), PLACES),
            fee=exact(fee, MONEY),
            position=exact(account.position, PLACES),
            entry=exact(account.entry, PLACES),
            realised=exact(realised, MONEY),
            cash=exact(account.cash, MONEY),
            signal_seq=order.signal_seq,
            reason=order.reason,
        )

    # ---- accounts ----

    def _value(self, account: Account, mark: Mark, out: list[Row]) -> None:
        equity = account.equity_at(mark.price)
        if equity <= 0 and not account.stopped:
            text = to_text(equity, MONEY)
            self._order(account, 0, mark.time_us, f"bankrupt: the equity is {text}")
            if account.order is not None:
                out += self._filled(account, account.order, mark.price, mark.time_us)
            account.stopped = True
            self._note("bankrupt", account, f"the equity was {text}: the account is closed")
        seq = self._equities.at(mark.time_us)
        out.append(account.row(mark, seq, account.instance, account.strategy))

    def _forget_ended(self) -> None:
        ended = [
            a.instance
            for a in self._accounts.values()
            if a.ending and not (a.position or a.changed)
        ]
        for instance in ended:
            del self._accounts[instance]
            self._rules.pop(instance, None)

    def _rules_of(self, instance: str) -> Rules:
        rules = self._rules.get(instance)
        if rules is None:
            rules = self._rules[instance] = Rules.of(self._config.of(instance))
        return rules

    def _unfilled(self, account: Account, order: Order, equity: int) -> None:
        least = to_text(order.step, PLACES)
        why = f"what it may cost buys less than {least}, the equity is {to_text(equity, MONEY)}"
        self._note("unfilled", account, why)

    def _note(self, kind: str, account: Account, detail: str) -> None:
        self.notices.append(Notice(kind, account.instance, account.strategy, detail))


def _first_after(trades: Trades, after_us: int) -> int:
    # -1: there is none. Bookkeeping of the exchange is no price, nor is what came late.
    later: Any = trades.is_trade & (trades.time_us > after_us)
    at = int(np.argmax(later))
    return at if later[at] else -1


def _units(units: int, scale: int) -> int:
    # No price has more than nine places; what a finer scale has beyond them are zeros.
    if scale <= PLACES:
        return int(units * 10 ** (PLACES - scale))
    return int(units // 10 ** (scale - PLACES))
