"""Williams' %R."""

from core.indicators.base import HIGH, Scalar, whole
from core.indicators.composed import Composed
from core.indicators.extremes import Extremes
from core.indicators.pieces import Piece


class WilliamsR(Composed[float], Scalar):
    """How far the close lies below the top of the range of the last `period` klines; -100 to 0.

    Variant: TA-Lib's; 0 where the range is empty.

    Args:
        period: Klines of the range, at least 1.

    References:
        Larry R. Williams, *How I Made One Million Dollars Last Year Trading Commodities*, 1973.

    >>> r = WilliamsR(2)
    >>> klines = ((4.0, 2.0, 3.0), (6.0, 4.0, 6.0), (6.0, 2.0, 3.0))
    >>> [r.update(high, low, close) for high, low, close in klines]
    [None, 0.0, -75.0]

    """

    __slots__ = ("_extremes", "period")

    name = "williams_r"
    inputs = ("high", "low", "close")

    def __init__(self, period: int = 14) -> None:
        self.period = whole(self.name, "period", period)
        self._extremes = Extremes(period)
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
        """Take those of the next final kline; return the value, or None until known."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        found = self._extremes.push(high, low)
        return None if found is None else self._say(_below(close, *found))

    def peek(self, high: float, low: float, close: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        found = self._extremes.peek(high, low)
        return None if found is None else _below(close, *found)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._extremes,)


def _below(close: float, highest: float, lowest: float) -> float:
    percent = (highest - lowest) / 100.0
    # The other way round a close at the top would be at minus zero.
    return (close - highest) / percent if percent else 0.0
