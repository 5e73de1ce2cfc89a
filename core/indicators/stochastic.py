"""Stochastic oscillator."""

from typing import NamedTuple

from core.indicators.base import HIGH, Several, whole
from core.indicators.composed import Composed
from core.indicators.extremes import Extremes
from core.indicators.pieces import Piece, Rolled
from core.indicators.window import Window


class StochasticValue(NamedTuple):
    """%K, and %D, the mean of it."""

    k: float
    d: float


class Stochastic(Composed[StochasticValue], Several[StochasticValue]):
    """Where the close lies in the range of the last `period` klines, smoothed twice; 0 to 100.

    Variant: slow by default: %K is a simple mean of `k` raw shares, %D one of `d` %K. With `k` 1
    it is the fast stochastic. 0 where the range is empty. All as in TA-Lib.

    Args:
        period: Klines of the range, at least 1.
        k: Period of %K, at least 1; 1 for the fast stochastic.
        d: Period of %D, at least 1.

    References:
        George C. Lane, "Lane's Stochastics", *Technical Analysis of Stocks & Commodities*, 1984.

    >>> stochastic = Stochastic(2, 1, 2)
    >>> klines = ((4.0, 2.0, 3.0), (6.0, 4.0, 6.0), (6.0, 2.0, 3.0))
    >>> [stochastic.update(high, low, close) for high, low, close in klines]
    [None, None, StochasticValue(k=25.0, d=62.5)]
    >>> Stochastic().lookback
    18

    """

    __slots__ = ("_d", "_extremes", "_k", "d", "k", "period")

    name = "stochastic"
    parts = StochasticValue._fields
    inputs = ("high", "low", "close")

    def __init__(self, period: int = 14, k: int = 3, d: int = 3) -> None:
        self.period = whole(self.name, "period", period)
        self.k, self.d = whole(self.name, "k", k), whole(self.name, "d", d)
        self._extremes = Extremes(period)
        self._k, self._d = Rolled(Window, k), Rolled(Window, d)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The periods: of the range, of %K, of %D."""
        return (self.period, self.k, self.d)

    @property
    def lookback(self) -> int:
        """The klines of the range, then those of each mean."""
        return self.period + self.k + self.d - 2

    @property
    def convergence(self) -> int:
        """The lookback: the value depends on nothing else, to the bit."""
        return self.lookback

    def update(self, high: float, low: float, close: float) -> StochasticValue | None:
        """Take those of the next final kline; return both means, or None until known."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        found = self._extremes.push(high, low)
        if found is None:
            return None
        k = self._k.push(share(close, *found))
        d = None if k is None else self._d.push(k)
        return None if k is None or d is None else self._say(StochasticValue(k, d))

    def peek(self, high: float, low: float, close: float) -> StochasticValue | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        found = self._extremes.peek(high, low)
        if found is None:
            return None
        k = self._k.peek(share(close, *found))
        d = None if k is None else self._d.peek(k)
        return None if k is None or d is None else StochasticValue(k, d)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._extremes, self._k, self._d)

    def _made(self, numbers: tuple[float, ...]) -> StochasticValue:
        return StochasticValue(*numbers)


def share(x: float, highest: float, lowest: float, least: float = 0.0) -> float:
    """Return where x lies from `lowest` (0) to `highest` (100); 0 if these are not apart.

    Args:
        x: Between them.
        highest: The highest.
        lowest: The lowest.
        least: They are apart if by more than this.

    """
    # Divided first, to round as TA-Lib does; a range that is no float then is no range.
    percent = (highest - lowest) / 100.0
    return (x - lowest) / percent if percent > least / 100.0 else 0.0
