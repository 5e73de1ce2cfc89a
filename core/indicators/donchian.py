"""Donchian channel."""

from typing import NamedTuple

from core.indicators.base import HIGH, Several, whole
from core.indicators.composed import Composed
from core.indicators.extremes import Extremes
from core.indicators.pieces import Piece


class DonchianValue(NamedTuple):
    """The highest high, the lowest low, and half way between."""

    upper: float
    middle: float
    lower: float


class Donchian(Composed[DonchianValue], Several[DonchianValue]):
    """The highest high and the lowest low of the last `period` klines, and their mean.

    Variant: this kline included, as in TA-Lib. A breakout is a close beyond the `previous` value.

    Args:
        period: At least 1.

    References:
        Richard D. Donchian, "High Finance in Copper", *Financial Analysts Journal*, 1960.

    >>> channel = Donchian(2)
    >>> [channel.update(high, low) for high, low in ((4.0, 2.0), (6.0, 4.0), (5.0, 3.0))][2]
    DonchianValue(upper=6.0, middle=4.5, lower=3.0)

    """

    __slots__ = ("_extremes", "period")

    name = "donchian"
    parts = DonchianValue._fields
    inputs = ("high", "low")

    def __init__(self, period: int = 20) -> None:
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

    def update(self, high: float, low: float) -> DonchianValue | None:
        """Take those of the next final kline; return the channel, or None until known."""
        if not 0.0 <= low <= high < HIGH:
            raise self._contradiction(high, low)
        found = self._extremes.push(high, low)
        return None if found is None else self._say(_channel(*found))

    def peek(self, high: float, low: float) -> DonchianValue | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= high < HIGH:
            raise self._contradiction(high, low)
        found = self._extremes.peek(high, low)
        return None if found is None else _channel(*found)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._extremes,)

    def _made(self, numbers: tuple[float, ...]) -> DonchianValue:
        return DonchianValue(*numbers)


def _channel(highest: float, lowest: float) -> DonchianValue:
    # Half the time of calling DonchianValue, whose own __new__ does just this.
    return tuple.__new__(DonchianValue, (highest, (highest + lowest) / 2.0, lowest))
