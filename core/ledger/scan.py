"""One pass over a day's trades: ids, silences, klines, whatever their number."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.ledger.ids import HeldIds, Span
from core.ledger.recount import Recount
from core.ledger.silences import Silence, Silences
from core.market.intervals import DAY_US, Interval
from core.market.symbols import USDM
from core.market.trades import Trades

_HELD = 1000


class Edge(NamedTuple):
    """The row nearest to a day on one side, and the nearest one with a price (None: none seen)."""

    id: int
    time_us: int
    trade: Trades | None = None


@dataclass(slots=True)
class Fills:
    """Whether the trade ids inside aggregates follow one another (on Spot they do).

    `holes` are trade ids between two aggregates whose own ids have no hole; at most 1,000 kept.
    """

    last: tuple[int, int] | None = None  # aggregate id, last trade id
    count: int = 0
    holes: list[Span] | None = None

    def add(self, trades: Trades) -> None:
        """Take aggregates in the order of their ids; invalidated ones (-1) break the chain."""
        ids, firsts, lasts, times = trades.id, trades.first_ids, trades.last_ids, trades.time_us
        before = self.last or (-1, -1)
        previous_id = np.concatenate(([before[0]], ids[:-1]))
        previous = np.concatenate(([before[1]], lasts[:-1]))
        known = (ids == previous_id + 1) & (firsts >= 0) & (previous >= 0)
        for i in np.flatnonzero(known & (firsts != previous + 1)).tolist():
            self.count += 1
            self.holes = self.holes or []
            if len(self.holes) < _HELD:
                at = int(times[i])
                self.holes.append(Span(int(previous[i]) + 1, int(firsts[i]) - 1, at, at))
        self.last = int(ids[-1]), int(lasts[-1])


class DayScan:
    """Takes a day's rows, file by file, in the order of their first ids.

    Args:
        key: The instrument's key.
        day_us: Start of the UTC day.
        interval: Which klines to recount; None for none.

    """

    def __init__(self, key: str, day_us: int, interval: Interval | None) -> None:
        self.key = key
        self.day_us = day_us
        self.aggregates: bool | None = None  # None until a row has come
        self.misplaced = 0
        self.fills = Fills()
        self.first: Edge | None = None
        self.last: Edge | None = None
        self.held = HeldIds(contiguous=self.contiguous)
        self.recount = self._recount(interval)
        self._interval = interval
        self._silences = Silences()
        self._before: Edge | None = None

    @property
    def contiguous(self) -> bool:
        """Whether ids prove anything: single trades of USD-M skip ids of their own."""
        return self.aggregates is not False or not self.key.startswith(f"{USDM}:")

    def begin(self, before: Edge | None) -> None:
        """Say what is held before the day, ahead of its rows."""
        self._before = before
        if before is not None:
            self._silences.join(before.id, before.time_us)

    def add(self, trades: Trades, file: int) -> None:
        """Take rows of a file, whose ids rise."""
        if not len(trades):
            return
        if self.aggregates is None:
            self._start(trades)
        self.held.add(trades, file)
        self._silences.add(trades)
        if self.recount is not None:
            self.recount.add(trades)
        if trades.is_aggregate and not self.key.startswith(f"{USDM}:"):
            self.fills.add(trades)
        self._note(trades)

    def end(self, after: Edge | None) -> None:
        """Say what is held behind the day, after its rows."""
        if self.aggregates is None and self.recount is not None:
            self.recount.begin(None if self._before is None else self._before.trade)
        if after is not None:
            self._silences.join(after.id, after.time_us)
        if self.recount is not None:
            self.recount.end(more=after is not None)

    def silences(self) -> tuple[Silence, ...]:
        """Return the silences that touch the day, as far as they are unusual for it."""
        return self._silences.named(DAY_US / max(self.held.rows, 1))

    def _start(self, trades: Trades) -> None:
        self.aggregates = trades.is_aggregate
        self.held = HeldIds(contiguous=self.contiguous)
        self.recount = self._recount(self._interval)
        if self.recount is not None:
            self.recount.begin(None if self._before is None else self._before.trade)

    def _recount(self, interval: Interval | None) -> Recount | None:
        if interval is None:
            return None
        return Recount(self.key, self.day_us, interval, contiguous=self.contiguous)

    def _note(self, trades: Trades) -> None:
        day = (trades.time_us >= self.day_us) & (trades.time_us < self.day_us + DAY_US)
        self.misplaced += len(trades) - int(day.sum())
        low = edge_of(trades, first=True)
        high = edge_of(trades, first=False)
        if self.first is None or low.id < self.first.id:
            self.first = low
        if self.last is None or high.id > self.last.id:
            carried = self.last.trade if self.last else None
            self.last = high if high.trade is not None else high._replace(trade=carried)


def edge_of(trades: Trades, *, first: bool) -> Edge:
    """Return the outermost row of a batch, and the outermost that is a trade."""
    at = 0 if first else len(trades) - 1
    real = trades.is_trade
    if real[at]:
        trade: Trades | None = trades.take(slice(at, at + 1))
    else:
        rows = np.flatnonzero(real)
        trade = trades.take(rows[:1] if first else rows[-1:]) if len(rows) else None
    return Edge(int(trades.id[at]), int(trades.time_us[at]), trade)
