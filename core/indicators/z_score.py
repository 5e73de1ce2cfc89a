"""Standard score."""

from core.indicators.base import whole
from core.indicators.composed import Rolling
from core.indicators.deviation import ScoreWindow
from core.indicators.pieces import Rolled


class ZScore(Rolling):
    """How many standard deviations a number lies above the mean of the last `period`, itself too.

    Variant: population deviation (divided by n, as Bollinger's), from exact sums; 0 while nothing
    moves. It lies within plus and minus the root of (period - 1).

    Args:
        period: At least 2.

    >>> score = ZScore(4)
    >>> [score.update(x) for x in (1.0, 3.0, 3.0, 1.0, 1.0)]
    [None, None, None, -1.0, -1.0]
    >>> score.peek(61837.0)
    1.7320508067635643

    """

    __slots__ = ()

    name = "z_score"

    def __init__(self, period: int = 20) -> None:
        super().__init__(period, Rolled(ScoreWindow, whole(self.name, "period", period, least=2)))
