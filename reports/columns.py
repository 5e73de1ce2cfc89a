"""What is drawn: klines, lines and marks over time, as columns."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from reports.statistics import Floats, Times

_BUCKETS = 500

What = Literal["buy", "sell", "long", "short", "flat"]


@dataclass(frozen=True, slots=True)
class Candles:
    """Klines as columns of equal length."""

    close_us: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats

    def part(self, first: int, end: int) -> "Candles":
        """Return some rows."""
        rows = slice(max(0, first), end)
        return Candles(
            self.close_us[rows], self.open[rows], self.high[rows], self.low[rows], self.close[rows]
        )

    def __len__(self) -> int:
        return len(self.close_us)


@dataclass(frozen=True, slots=True)
class Mark:
    """A fill (``buy``, ``sell``) or a signal (``long``, ``short``, ``flat``) on a chart."""

    time_us: int
    price: float
    what: What


@dataclass(frozen=True, slots=True)
class Line:
    """A line over time."""

    name: str
    time_us: Times
    values: Floats


def thin(time_us: Times, values: Floats, buckets: int = _BUCKETS) -> tuple[Times, Floats]:
    """Return fewer points that look the same: of each bucket its lowest and its highest.

    The first and the last point stay. Times rise.
    """
    if len(values) <= 2 * buckets:
        return time_us, values
    edges = np.linspace(0, len(values), buckets + 1).astype(np.int64)
    kept = {0, len(values) - 1}
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = values[first:end]
        kept |= {first + int(part.argmin()), first + int(part.argmax())}
    at = np.array(sorted(kept))
    return time_us[at], values[at]
