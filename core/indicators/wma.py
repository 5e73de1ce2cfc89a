"""Weighted moving average."""

from core.indicators.base import whole
from core.indicators.composed import Rolling
from core.indicators.pieces import Rolled
from core.indicators.window import WeightedWindow


class Wma(Rolling):
    """Mean of the last `period` numbers in which the newest weighs `period` and the oldest 1.

    Variant: linear weights 1 to n, over n (n + 1) / 2, as in TA-Lib; correctly rounded.

    Args:
        period: At least 1.

    References:
        Robert D. Edwards and John Magee, *Technical Analysis of Stock Trends*, 1948 and later.

    >>> wma = Wma(3)
    >>> [wma.update(x) for x in (1.0, 2.0, 6.0, 6.0, 6.0)][2:]
    [3.8333333333333335, 5.333333333333333, 6.0]
    >>> wma.peek(0.0), wma.value
    (3.0, 6.0)

    """

    __slots__ = ()

    name = "wma"

    def __init__(self, period: int) -> None:
        super().__init__(period, Rolled(WeightedWindow, whole(self.name, "period", period)))
