"""What is to be predicted: what the close does over the next klines.

A label is known only when the kline that ends the horizon is: nothing before looks at it.
"""

from math import log
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from core.market.intervals import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Target(BaseModel):
    """What a model predicts.

    Attributes:
        kind: ``up``: whether the close is higher, as 1 or 0. ``return``: the logarithmic return.
        horizon: Klines ahead.
        band: For ``up``: returns of at most this size are neither, and nobody learns from them.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["up", "return"] = "up"
    horizon: Annotated[int, Field(ge=1, le=10_000)] = 5
    band: Annotated[float, Field(ge=0)] = 0.0

    def label(self, change: float) -> float | None:
        """Return the label of a logarithmic return; None where it is neither.

        >>> Target(band=0.01).label(0.02), Target().label(-0.1), Target(band=0.01).label(0.0)
        (1.0, 0.0, None)
        """
        if self.kind == "return":
            return change
        if abs(change) <= self.band:
            return None
        return 1.0 if change > 0 else 0.0

    def ends(self, open_us: int, of: Interval) -> int:
        """Return the start of the kline at whose close the label of a row is known."""
        if of.length_us:
            return open_us + self.horizon * of.length_us
        for _ in range(self.horizon):
            open_us = of.end_of(open_us)
        return open_us


def change(before: float, after: float) -> float | None:
    """Return the logarithmic return between two closes; None where there is none."""
    return log(after / before) if before > 0 and after > 0 else None


def labels(target: Target, of: Interval, open_us: Ints, closes: Floats) -> tuple[Floats, Floats]:
    """Return the label and the return of each row of one instrument.

    Args:
        target: What is to be predicted.
        of: The interval of the klines.
        open_us: Starts of the klines, rising; shape (n,).
        closes: Their closes; shape (n,).

    Returns:
        Two of shape (n,): NaN where the kline that ends the horizon is not among the rows, and in
        the first also where the label is neither.

    """
    ends = np.fromiter((target.ends(int(t), of) for t in open_us), np.int64, len(open_us))
    at = np.searchsorted(open_us, ends)
    there = at < len(open_us)
    there[there] = open_us[at[there]] == ends[there]
    changes = np.full(len(open_us), np.nan)
    pairs = zip(closes[there].tolist(), closes[at[there]].tolist(), strict=True)
    found = [change(before, after) for before, after in pairs]
    changes[there] = [np.nan if c is None else c for c in found]
    known = [target.label(c) if c == c else None for c in changes.tolist()]
    return np.array([np.nan if x is None else x for x in known]), changes
