"""Long silences of the exchange: ids go on without a hole, time does not.

Maintenance and halts look like this. They are named, and are no gaps: nothing is missing.
"""

from typing import NamedTuple

import numpy as np

from core.market.trades import Trades

SHORTEST_US = 60_000_000
"""Nothing shorter is called a silence; of a day there are at most 1,440 of them."""
USUAL = 30
"""A silence lasts so many times the mean time between two trades of the day."""


class Silence(NamedTuple):
    """No trade between two times, though the ids before and after follow one another."""

    after_id: int
    start_us: int
    end_us: int


class Silences:
    """Finds them in rows that come in id order; a row out of order starts anew."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None  # id, time
        self._found: list[Silence] = []

    def add(self, trades: Trades) -> None:
        """Take rows."""
        ids, times = trades.id, trades.time_us
        if self._last is not None:
            self._look(*self._last, int(ids[0]), int(times[0]))
        waits = times[1:] - times[:-1]
        for i in np.flatnonzero(waits >= SHORTEST_US).tolist():
            self._look(int(ids[i]), int(times[i]), int(ids[i + 1]), int(times[i + 1]))
        self._last = int(ids[-1]), int(times[-1])

    def join(self, trade_id: int, time_us: int) -> None:
        """Take a single row: the last before the day, or the first behind it."""
        if self._last is not None:
            self._look(*self._last, trade_id, time_us)
        self._last = trade_id, time_us

    def named(self, mean_us: float) -> tuple[Silence, ...]:
        """Return those far longer than the mean time between two trades."""
        return tuple(s for s in self._found if s.end_us - s.start_us >= USUAL * mean_us)

    def _look(self, last_id: int, last_us: int, next_id: int, next_us: int) -> None:
        if next_id == last_id + 1 and next_us - last_us >= SHORTEST_US:
            self._found.append(Silence(last_id, last_us, next_us))
