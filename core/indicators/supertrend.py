"""SuperTrend."""

from typing import NamedTuple

from core.indicators.atr import Atr
from core.indicators.base import HIGH, Several, positive, whole
from core.indicators.composed import Composed
from core.indicators.pieces import Piece


class SuperTrendValue(NamedTuple):
    """The stop line, and the trend: 1 upward (the line is the lower band), -1 downward."""

    line: float
    trend: float


class _Bands(NamedTuple):
    upper: float
    lower: float
    close: float
    trend: float


class SuperTrend(Composed[SuperTrendValue], Several[SuperTrendValue]):
    """A stop that follows the trend at a distance of some average true ranges.

    The bands are (high + low) / 2 plus and minus `multiplier` times `Atr`. The upper one only falls
    until a close above it, the lower one only rises until a close below it. A close beyond the band
    that is the line turns the trend, and the other band becomes the line.

    Variant: TA-Lib's (as in most charts): the first trend is upward. It stays while nothing moves.

    Where it begins matters until the trend has turned and the bands have been let go, for which
    there is no bound (`settles` is False): in a market that never touches the line it is for ever.
    `convergence` is that of the average true range and 40 periods more, 674 with the defaults; of
    246 late beginnings in recorded minutes the slowest agreed after 170.

    Args:
        period: Of the average true range, at least 1.
        multiplier: Distance of the bands in average true ranges, more than 0.

    References:
        Olivier Seban, *Tout le monde mérite d'être riche*, 2008.

    >>> trend = SuperTrend(1, 1.0)
    >>> klines = ((4.0, 2.0, 3.0), (6.0, 4.0, 6.0), (6.0, 1.0, 1.0))
    >>> [trend.update(high, low, close) for high, low, close in klines][1:]
    [SuperTrendValue(line=2.0, trend=1.0), SuperTrendValue(line=8.0, trend=-1.0)]
    >>> SuperTrend().lookback, SuperTrend().convergence
    (11, 674)

    """

    __slots__ = ("_atr", "_bands", "multiplier", "period")

    name = "supertrend"
    parts = SuperTrendValue._fields
    inputs = ("high", "low", "close")
    settles = False

    _bands: _Bands | None

    def __init__(self, period: int = 10, multiplier: float = 3.0) -> None:
        self.period = whole(self.name, "period", period)
        self.multiplier = positive(self.name, "multiplier", multiplier)
        self._atr = Atr(period)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period and the multiplier."""
        return (self.period, self.multiplier)

    @property
    def lookback(self) -> int:
        """That of the average true range."""
        return self._atr.lookback

    @property
    def convergence(self) -> int:
        """That of the average true range, and 40 periods; no bound, see above."""
        return self._atr.convergence + 40 * self.period

    def update(self, high: float, low: float, close: float) -> SuperTrendValue | None:
        """Take those of the next final kline; return the line, or None until known."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        ranged = self._atr.update(high, low, close)
        if ranged is None:
            return None
        self._bands = bands = self._next(high, low, close, ranged)
        return self._say(_line(bands))

    def peek(self, high: float, low: float, close: float) -> SuperTrendValue | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        ranged = self._atr.peek(high, low, close)
        return None if ranged is None else _line(self._next(high, low, close, ranged))

    def reset(self) -> None:
        """Forget everything but the parameters."""
        super().reset()
        self._bands = None

    def _next(self, high: float, low: float, close: float, ranged: float) -> _Bands:
        middle, distance = (high + low) / 2.0, self.multiplier * ranged
        upper, lower, before = middle + distance, middle - distance, self._bands
        if before is None:
            return _Bands(upper, lower, close, 1.0)
        if upper > before.upper >= before.close:
            upper = before.upper
        if lower < before.lower <= before.close:
            lower = before.lower
        trend = before.trend
        if trend > 0.0:
            return _Bands(upper, lower, close, -1.0 if close < lower else 1.0)
        return _Bands(upper, lower, close, 1.0 if close > upper else -1.0)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._atr,)

    def _own(self) -> tuple[float, ...]:
        return self._bands or ()

    def _load_own(self, own: tuple[float, ...]) -> None:
        if bool(own) != (self._atr.value is not None):
            raise ValueError(own)
        self._bands = _Bands(*own) if own else None

    def _made(self, numbers: tuple[float, ...]) -> SuperTrendValue:
        return SuperTrendValue(*numbers)


def _line(bands: _Bands) -> SuperTrendValue:
    return SuperTrendValue(bands.lower if bands.trend > 0.0 else bands.upper, bands.trend)
