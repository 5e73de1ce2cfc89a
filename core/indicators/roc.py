"""Rate of change."""

from core.indicators.composed import Lagged


class Roc(Lagged):
    """By how many percent a number lies above the one `period` before it.

    Variant: 100 (x - before) / before; 0 while nothing moves, and where the one before is 0
    (TA-Lib). The difference is taken first, so that small changes keep their digits.

    Args:
        period: At least 1.

    >>> roc = Roc(2)
    >>> [roc.update(x) for x in (1.0, 2.0, 4.0, 3.0)]
    [None, None, 300.0, 50.0]
    >>> roc.lookback, roc.peek(4.0)
    (3, 0.0)

    """

    __slots__ = ()

    name = "roc"

    def __init__(self, period: int = 10) -> None:
        super().__init__(period)

    def _compared(self, x: float, before: float) -> float:
        return 100.0 * ((x - before) / before) if before else 0.0
