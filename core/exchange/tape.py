"""One symbol's trades: each id once, in order, none missing, however they came.

    UNPROVEN ──a trade that follows, or REST: "nothing newer"──► LIVE ──an id is skipped──┐
       ▲                                                          │ ▲                     ▼
       └────────────────── the link is lost ──────────────────────┘ └──hole filled── REPAIRING

A restart is a long reconnect: a tape that knows its next id begins UNPROVEN and closes whatever
happened meanwhile. While a hole is open, live rows wait in a bounded buffer; a buffer that
overflows is dropped and the hole grows over it, so overload costs REST calls, never rows.
"""

from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from core.exchange.columns import Columns, Row
from core.exchange.repair import Action, Deliver, Fetch, Hole, Missing, Page, Wait, repair
from core.exchange.wire import RestAggTrade, RestRow, to_us
from core.market.errors import DecimalError
from core.market.events import Gap, GapOpened, GapRepaired, Stale, StatusChanged, Tick, Told
from core.market.position import Positions
from core.market.trades import Trades

if TYPE_CHECKING:
    from collections.abc import Generator

Out: TypeAlias = Trades | Tick | GapOpened | GapRepaired | Gap | Stale | StatusChanged | Told


class State(Enum):
    """What is known of the tape's continuity."""

    UNPROVEN = "unproven"
    LIVE = "live"
    REPAIRING = "repairing"


class Tape:
    """Orders one symbol's trades.

    Feed it rows (`live`), REST pages (`answer`) and losses (`lost`); drain what it says (`drain`)
    and carry out what it wants (`wish`: a `Fetch` or a `Wait`, or None).
    """

    def __init__(
        self,
        key: str,
        *,
        next_id: int | None = None,
        scales: tuple[int, int] = (0, 0),
        aggregate: bool = False,
        repairs: bool = True,
        buffer_limit: int = 100_000,
    ) -> None:
        self.key = key
        self.next_id = next_id
        self.aggregate = aggregate
        self.state = State.UNPROVEN
        self.wish: Fetch | Wait | None = None
        self.received = 0
        self.streamed = 0  # of these, by the live stream
        self.duplicates = 0
        self.rejected = 0
        self.last_time_us = 0
        # Without REST (a capture of others) a hole is permanent at once.
        self._repairs = repairs
        self._columns = Columns(key, *scales)
        self._positions = Positions()
        self._out: list[Out] = []
        self._buffer: list[Row] = []
        self._buffer_limit = buffer_limit
        self._hole: Hole | None = None
        self._hole_first = 0
        self._delivered = False
        self._steps: Generator[Action, Page, None] | None = None
        self._ticked_us = 0

    @property
    def scales(self) -> tuple[int, int]:
        """Decimal places of price and quantity so far."""
        return self._columns.price_scale, self._columns.quantity_scale

    @property
    def held(self) -> int:
        """Rows received that were not drained: behind a hole, or just not yet."""
        said = sum(len(item) for item in self._out if isinstance(item, Trades))
        return said + len(self._columns) + len(self._buffer)

    def live(self, row: Row, clock_us: int) -> None:
        """Take a row of the live stream; `clock_us` is the exchange's time."""
        self.received += 1
        self.streamed += 1
        self._place(row, clock_us)

    def _place(self, row: Row, clock_us: int) -> None:
        if self.state is State.REPAIRING:
            self._hold(row)
        elif self.next_id is None or row[0] == self.next_id:
            self.state = State.LIVE
            self._accept(row, repaired=False)
        elif row[0] < self.next_id:
            self.duplicates += 1
        else:
            self._open(row[0] - 1, clock_us)
            self._place(row, clock_us)

    def lost(self) -> None:
        """Note that the link is gone: what comes next must prove that it follows."""
        if self.state is State.LIVE:
            self.state = State.UNPROVEN

    def newest(self, trade_id: int, clock_us: int) -> None:
        """Take REST's word for the newest trade id, asked after the stream was acknowledged."""
        if self.state is not State.UNPROVEN:
            return
        if self.next_id is None:
            self.next_id = trade_id + 1
        if trade_id < self.next_id:
            self.state = State.LIVE
        else:
            self._open(trade_id, clock_us)

    def behind(self, trade_id: int, clock_us: int) -> None:
        """Take the proof that the stream does not bring ids up to this one: they are asked for."""
        if self.state is State.LIVE and self.next_id is not None and trade_id >= self.next_id:
            self._open(trade_id, clock_us)

    def stale(self, reason: str, clock_us: int) -> None:
        """Say that the stream gives no data though it should."""
        self._say(Stale(self.key, clock_us, self._position(clock_us), reason))

    def status(self, status: str, clock_us: int) -> None:
        """Say that the exchange lists the symbol with another trading status."""
        self._say(StatusChanged(self.key, clock_us, self._position(clock_us), status))

    def tell(self, payload: str, history: str, clock_us: int) -> None:
        """Pass a message on, behind all that was said so far."""
        self._say(Told(self.key, clock_us, payload, history))

    def tick(self, time_us: int) -> None:
        """Say that the exchange's clock passed `time_us`, if the tape's continuity is proven."""
        if self.state is State.LIVE and time_us > max(self._ticked_us, self.last_time_us):
            self._ticked_us = time_us
            self._say(Tick(self.key, time_us))

    def answer(self, page: Page, clock_us: int) -> None:
        """Take what came of the wish: rows, or None for a failure or a wait that is over."""
        if self._steps is None or self._hole is None:
            return
        try:
            action = self._steps.send(page)
            while not isinstance(action, Fetch | Wait):
                self._carry_out(action, clock_us)
                action = next(self._steps)
            self.wish = action
        except StopIteration:
            self._close(clock_us)

    def drain(self) -> list[Out]:
        """Return what the tape said since the last drain, in order."""
        if len(self._columns):
            self._out += self._columns.drain()
        out, self._out = self._out, []
        return out

    def _open(self, last_id: int, clock_us: int) -> None:
        first_id = self.next_id or 0
        if not self._repairs:
            reason = "the recording has no answer to ask for"
            self._say(Gap(self.key, clock_us, self._position(clock_us), first_id, last_id, reason))
            self.next_id = last_id + 1
            return
        self._say(GapOpened(self.key, clock_us, self._position(clock_us), first_id, last_id))
        self.state = State.REPAIRING
        self._hole, self._hole_first = Hole(first_id, last_id), first_id
        self._delivered = False
        self._steps = repair(self._hole)
        self.answer(None, clock_us)

    def _hold(self, row: Row) -> None:
        hole = self._hole
        newest = self._buffer[-1][0] if self._buffer else hole.last_id if hole else -1
        if row[0] <= newest:
            self.duplicates += 1
            return
        if len(self._buffer) >= self._buffer_limit and hole is not None:
            hole.last_id = newest
            self.received -= len(self._buffer)  # they will be received again, by REST
            self._buffer.clear()
        self._buffer.append(row)

    def _carry_out(self, action: Deliver | Missing, clock_us: int) -> None:
        if isinstance(action, Deliver):
            self.received += len(action.rows)
            self._delivered = True
            for row in action.rows:
                self._accept(row_of(row), repaired=True)
            return
        self._say(
            Gap(
                self.key,
                clock_us,
                self._position(clock_us),
                action.first_id,
                action.last_id,
                action.reason,
            )
        )
        self.next_id = action.last_id + 1

    def _close(self, clock_us: int) -> None:
        hole, self._hole, self._steps, self.wish = self._hole, None, None, None
        if hole is not None and self._delivered:
            position = self._position(clock_us)
            self._say(GapRepaired(self.key, clock_us, position, self._hole_first, hole.last_id))
        # The held rows take the ordinary way: they may hide another hole.
        self.state = State.LIVE
        held, self._buffer = self._buffer, []
        for row in held:
            self._place(row, clock_us)

    def _accept(self, row: Row, *, repaired: bool) -> None:
        try:
            self._columns.append(row, aggregate=self.aggregate, repaired=repaired)
        except DecimalError as error:
            self._refuse(row, error)
        self.next_id = row[0] + 1
        self.last_time_us = max(self.last_time_us, row[1])

    def _refuse(self, row: Row, error: DecimalError) -> None:
        # Its id exists, its numbers cannot be held: an explicit gap of one.
        self.rejected += 1
        position = self._position(row[1])
        self._say(Gap(self.key, row[1], position, row[0], row[0], str(error)))

    def _position(self, clock_us: int) -> int:
        return self._positions.at(clock_us)

    def _say(self, item: Out) -> None:
        if len(self._columns):
            self._out += self._columns.drain()
        self._out.append(item)


def row_of(row: RestRow) -> Row:
    """Return a row of REST in the shape of the live stream's."""
    first, last = (row.first_id, row.last_id) if isinstance(row, RestAggTrade) else (row.id, row.id)
    time_us = to_us(row.time)
    return (row.id, time_us, row.price, row.quantity, row.buyer_is_maker, first, last)
