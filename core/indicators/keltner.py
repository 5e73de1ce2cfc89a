"""Keltner channel."""

from typing import NamedTuple

from core.indicators.atr import Atr
from core.indicators.base import HIGH, Several, positive, whole
from core.indicators.composed import Composed
from core.indicators.ema import Ema
from core.indicators.pieces import Piece


class KeltnerValue(NamedTuple):
    """The mean, and the lines around it."""

    upper: float
    middle: float
    lower: float


class Keltner(Composed[KeltnerValue], Several[KeltnerValue]):
    """Exponential mean of the typical price, plus and minus a multiple of the average true range.

    Variant: TA-Lib's: of the typical price (high + low + close) / 3 as in the book, but with the
    exponential mean and the average true range (`Atr`) that came into use in the 1980s. Others take
    the mean of closes.

    While nothing moves the lines come together. After `convergence` klines two instances differ by
    at most `CONVERGED` times the range of what came before, times 1 + `multiplier`.

    Args:
        period: Of the mean, at least 1.
        atr_period: Of the average true range, at least 1.
        multiplier: Distance of the lines in average true ranges, more than 0.

    References:
        Chester W. Keltner, *How to Make Money in Commodities*, 1960; Linda Bradford Raschke and
        Laurence A. Connors, *Street Smarts*, 1996.

    >>> channel = Keltner(2, 1, 2.0)
    >>> channel.update(3.0, 3.0, 3.0), channel.update(5.0, 4.0, 4.5)
    (None, KeltnerValue(upper=7.75, middle=3.75, lower=-0.25))
    >>> Keltner().lookback, Keltner().convergence
    (20, 297)

    """

    __slots__ = ("_atr", "_mean", "atr_period", "multiplier", "period")

    name = "keltner"
    parts = KeltnerValue._fields
    inputs = ("high", "low", "close")

    def __init__(self, period: int = 20, atr_period: int = 10, multiplier: float = 2.0) -> None:
        self.period = whole(self.name, "period", period)
        self.atr_period = whole(self.name, "atr_period", atr_period)
        self.multiplier = positive(self.name, "multiplier", multiplier)
        self._mean, self._atr = Ema(period), Atr(atr_period)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The periods of mean and average true range, and the multiplier."""
        return (self.period, self.atr_period, self.multiplier)

    @property
    def lookback(self) -> int:
        """That of the slower of the two."""
        return max(self._mean.lookback, self._atr.lookback)

    @property
    def convergence(self) -> int:
        """That of the slower of the two."""
        return max(self._mean.convergence, self._atr.convergence)

    def update(self, high: float, low: float, close: float) -> KeltnerValue | None:
        """Take those of the next final kline; return the channel, or None until known."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        ranged = self._atr.update(high, low, close)
        mean = self._mean.update((high + low + close) / 3.0)
        return None if mean is None or ranged is None else self._say(self._around(mean, ranged))

    def peek(self, high: float, low: float, close: float) -> KeltnerValue | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        ranged = self._atr.peek(high, low, close)
        mean = self._mean.peek((high + low + close) / 3.0)
        return None if mean is None or ranged is None else self._around(mean, ranged)

    def _around(self, mean: float, ranged: float) -> KeltnerValue:
        distance = ranged * self.multiplier
        return KeltnerValue(mean + distance, mean, mean - distance)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._mean, self._atr)

    def _made(self, numbers: tuple[float, ...]) -> KeltnerValue:
        return KeltnerValue(*numbers)
