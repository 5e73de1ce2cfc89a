"""Binance's sixteen kline intervals: their windows are half-open ranges of UTC, in microseconds.

Weeks start on Monday, months on the first; all others are multiples of their length since the
epoch (binance-spot-api-docs, rest-api.md, "Kline/Candlestick data"; 3d: the documents do not say,
multiples since the epoch are assumed here).
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.market.errors import IntervalError

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US

# 1970-01-01 was a Thursday: the first Monday came four days later.
_MONDAY_US = 4 * DAY_US


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval. `length_us` is 0 for the calendar month, whose windows differ in length."""

    name: str
    length_us: int
    anchor_us: int = 0

    def open_of(self, time_us: int) -> int:
        """Return the start of the window that holds `time_us`.

        >>> INTERVALS["1m"].open_of(61_000_001), INTERVALS["1w"].open_of(4 * DAY_US)
        (60000000, 345600000000)
        """
        if not self.length_us:
            return _month_open(time_us)
        return time_us - (time_us - self.anchor_us) % self.length_us

    def end_of(self, open_us: int) -> int:
        """Return the end (exclusive) of the window that starts at `open_us`.

        >>> INTERVALS["1M"].end_of(0) == 31 * DAY_US
        True
        """
        if not self.length_us:
            return _month_open(open_us + 31 * DAY_US + DAY_US // 2)
        return open_us + self.length_us

    def opens_of(self, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return `open_of` of each time; shape as given."""
        if not self.length_us:
            months = times_us.astype("datetime64[us]").astype("datetime64[M]")
            opens: NDArray[np.int64] = months.astype("datetime64[us]").astype(np.int64)
            return opens
        return times_us - (times_us - self.anchor_us) % self.length_us

    def holds(self, other: "Interval") -> bool:
        """Say whether each window of `other` lies in exactly one window of this interval.

        >>> INTERVALS["1w"].holds(INTERVALS["3d"]), INTERVALS["1M"].holds(INTERVALS["1d"])
        (False, True)
        """
        if not other.length_us:
            return self == other
        if not self.length_us:
            return DAY_US % other.length_us == 0
        return (
            self.length_us % other.length_us == 0
            and (self.anchor_us - other.anchor_us) % other.length_us == 0
        )

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (interval, (self.name,))


INTERVALS: dict[str, Interval] = {
    i.name: i
    for i in (
        Interval("1s", SECOND_US),
        Interval("1m", MINUTE_US),
        Interval("3m", 3 * MINUTE_US),
        Interval("5m", 5 * MINUTE_US),
        Interval("15m", 15 * MINUTE_US),
        Interval("30m", 30 * MINUTE_US),
        Interval("1h", HOUR_US),
        Interval("2h", 2 * HOUR_US),
        Interval("4h", 4 * HOUR_US),
        Interval("6h", 6 * HOUR_US),
        Interval("8h", 8 * HOUR_US),
        Interval("12h", 12 * HOUR_US),
        Interval("1d", DAY_US),
        Interval("3d", 3 * DAY_US),
        Interval("1w", WEEK_US, _MONDAY_US),
        Interval("1M", 0),
    )
}


def interval(name: str) -> Interval:
    """Return the interval of that name, or raise `IntervalError`."""
    found = INTERVALS.get(name)
    if found is None:
        raise IntervalError(name, tuple(INTERVALS))
    return found


@lru_cache(maxsize=4096)
def _month_open_of_day(day: int) -> int:
    at = datetime.fromtimestamp(day * 86_400, UTC)
    return calendar.timegm((at.year, at.month, 1, 0, 0, 0)) * SECOND_US


def _month_open(time_us: int) -> int:
    return _month_open_of_day(time_us // DAY_US)
