"""Commodity channel index."""

from core.indicators.base import HIGH, Scalar, whole
from core.indicators.composed import Composed
from core.indicators.deviation import AbsoluteWindow
from core.indicators.pieces import Piece, Rolled

_FACTOR = 0.015
"""Lambert's: three quarters of the values then lie within plus and minus 100."""


class Cci(Composed[float], Scalar):
    """How many mean deviations the typical price lies from its mean, divided by 0.015.

    The typical price is (high + low + close) / 3; the deviations are absolute, from the mean of
    the same `period` klines, this one too.

    Variant: TA-Lib's formula, from exact sums and in logarithmic time (a slice of a sorted list
    apart); 0 while nothing moves by more than 1e-14 of the price.

    Args:
        period: At least 2.

    References:
        Donald R. Lambert, "Commodity Channel Index", *Commodities* (now *Futures*), October 1980.

    >>> cci = Cci(3)
    >>> klines = ((1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (6.0, 6.0, 6.0))
    >>> [cci.update(high, low, close) for high, low, close in klines]
    [None, None, 100.0]

    """

    __slots__ = ("_rolled", "period")

    name = "cci"
    inputs = ("high", "low", "close")

    def __init__(self, period: int = 20) -> None:
        self.period = whole(self.name, "period", period, least=2)
        self._rolled = Rolled(AbsoluteWindow, period)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """The period."""
        return self.period

    @property
    def convergence(self) -> int:
        """The period: the value depends on nothing else, to the bit."""
        return self.period

    def update(self, high: float, low: float, close: float) -> float | None:
        """Take those of the next final kline; return the index, or None until known."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        distance = self._rolled.push((high + low + close) / 3.0)
        return None if distance is None else self._say(distance / _FACTOR)

    def peek(self, high: float, low: float, close: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        distance = self._rolled.peek((high + low + close) / 3.0)
        return None if distance is None else distance / _FACTOR

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._rolled,)
