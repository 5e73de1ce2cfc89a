"""Bollinger's bandwidth."""

from core.indicators.base import positive, whole
from core.indicators.composed import Rolling
from core.indicators.deviation import RelativeWindow
from core.indicators.pieces import Rolled


class Bandwidth(Rolling):
    """Distance of the upper from the lower Bollinger band, in units of the mean.

    Variant: (upper - lower) / middle as a ratio, not in percent, with the bands of `Bollinger`,
    computed from exact sums; 0 while nothing moves, and where the mean is 0.

    Args:
        period: At least 2.
        width: Distance of the bands from the mean in standard deviations, more than 0.

    References:
        John Bollinger, *Bollinger on Bollinger Bands*, 2001.

    >>> width = Bandwidth(4, 2.0)
    >>> [width.update(x) for x in (1.0, 3.0, 3.0, 1.0, 1.0)]
    [None, None, None, 2.0, 2.0]

    """

    __slots__ = ("width",)

    name = "bandwidth"

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.width = positive(self.name, "width", width)
        rolled = Rolled(RelativeWindow, whole(self.name, "period", period, least=2))
        super().__init__(period, rolled)

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period and the width of the bands."""
        return (self.period, self.width)

    def _shaped(self, rolled: float) -> float:
        return 2.0 * self.width * rolled
