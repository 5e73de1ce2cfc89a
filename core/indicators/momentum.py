"""Momentum."""

from core.indicators.composed import Lagged


class Momentum(Lagged):
    """How far a number lies above the one `period` before it.

    Variant: the difference, as in TA-Lib; 0 while nothing moves.

    Args:
        period: At least 1.

    >>> momentum = Momentum(2)
    >>> [momentum.update(x) for x in (1.0, 2.0, 4.0, 8.0)]
    [None, None, 3.0, 6.0]
    >>> momentum.lookback, momentum.peek(4.0)
    (3, 0.0)

    """

    __slots__ = ()

    name = "momentum"

    def __init__(self, period: int = 10) -> None:
        super().__init__(period)

    def _compared(self, x: float, before: float) -> float:
        return x - before
