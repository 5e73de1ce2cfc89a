"""Bollinger's %B."""

from core.indicators.base import positive, whole
from core.indicators.composed import Rolling
from core.indicators.deviation import ScoreWindow
from core.indicators.pieces import Rolled


class PercentB(Rolling):
    """Where a number lies between the Bollinger bands that hold it: 0 on the lower, 1 on the upper.

    Variant: (x - lower) / (upper - lower) with the bands of `Bollinger`, computed from exact sums
    and not from the bands, whose difference has lost digits; 0.5 while nothing moves.

    Args:
        period: At least 2.
        width: Distance of the bands from the mean in standard deviations, more than 0.

    References:
        John Bollinger, *Bollinger on Bollinger Bands*, 2001.

    >>> b = PercentB(4, 2.0)
    >>> [b.update(x) for x in (1.0, 3.0, 3.0, 1.0, 1.0)]
    [None, None, None, 0.25, 0.25]
    >>> b.parameters, b.crossed_above(0.5)
    ((4, 2.0), False)

    """

    __slots__ = ("width",)

    name = "percent_b"

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.width = positive(self.name, "width", width)
        super().__init__(period, Rolled(ScoreWindow, whole(self.name, "period", period, least=2)))

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period and the width of the bands."""
        return (self.period, self.width)

    def _shaped(self, rolled: float) -> float:
        return 0.5 + rolled / (2.0 * self.width)
