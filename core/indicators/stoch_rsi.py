"""Stochastic RSI."""

from core.indicators.base import HIGH, LOW, Several, whole
from core.indicators.composed import Composed
from core.indicators.extremes import Extremes
from core.indicators.pieces import Piece, Rolled
from core.indicators.rsi import Rsi
from core.indicators.stochastic import StochasticValue, share
from core.indicators.window import Window

_NOISE = 1e-9
"""Points of the index: a range below this is what rounding leaves of an index that stands."""


class StochRsi(Composed[StochasticValue], Several[StochasticValue]):
    """Where the relative strength index lies in its range of the last n, smoothed twice; 0 to 100.

    Variant: simple means of `k` (of the raw share) and of `d` (of that). With `k` 1 it is TA-Lib's
    and the book's, with 3 what most charts show. Where the index did not move in the range it says
    0, as TA-Lib; here also where it moved by rounding only (less than 1e-9 points), as it does
    after trading paused, which elsewhere is blown up to any number.

    After `convergence` numbers two instances agree as their `Rsi` do, in proportion to the range
    of the index.

    Args:
        period: Of the index, at least 2.
        stochastic: Values of the index the range is taken of, at least 1.
        k: Period of the first mean, at least 1.
        d: Period of the second mean, at least 1.

    References:
        Tushar S. Chande and Stanley Kroll, *The New Technical Trader*, 1994.

    >>> stoch = StochRsi(2, 2, 1, 1)
    >>> [stoch.update(x) for x in (10.0, 11.0, 10.0, 13.0)]
    [None, None, None, StochasticValue(k=100.0, d=100.0)]
    >>> StochRsi().lookback, StochRsi().convergence
    (32, 405)

    """

    __slots__ = ("_d", "_extremes", "_k", "_rsi", "d", "k", "period", "stochastic")

    name = "stoch_rsi"
    parts = StochasticValue._fields

    def __init__(self, period: int = 14, stochastic: int = 14, k: int = 3, d: int = 3) -> None:
        self.period = whole(self.name, "period", period, least=2)
        self.stochastic = whole(self.name, "stochastic", stochastic)
        self.k, self.d = whole(self.name, "k", k), whole(self.name, "d", d)
        self._rsi, self._extremes = Rsi(period), Extremes(stochastic)
        self._k, self._d = Rolled(Window, k), Rolled(Window, d)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The periods: of the index, its range, the first mean, the second."""
        return (self.period, self.stochastic, self.k, self.d)

    @property
    def lookback(self) -> int:
        """What the index takes, then its range, then each mean."""
        return self._rsi.lookback + self._window

    @property
    def convergence(self) -> int:
        """What the index takes, then its range, then each mean."""
        return self._rsi.convergence + self._window

    def update(self, x: float) -> StochasticValue | None:
        """Take the next final number; return both means, or None until `lookback` were given."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        rsi = self._rsi.update(x)
        found = None if rsi is None else self._extremes.push(rsi, rsi)
        if rsi is None or found is None:
            return None
        k = self._k.push(share(rsi, *found, _NOISE))
        d = None if k is None else self._d.push(k)
        return None if k is None or d is None else self._say(StochasticValue(k, d))

    def peek(self, x: float) -> StochasticValue | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        rsi = self._rsi.peek(x)
        found = None if rsi is None else self._extremes.peek(rsi, rsi)
        if rsi is None or found is None:
            return None
        k = self._k.peek(share(rsi, *found, _NOISE))
        d = None if k is None else self._d.peek(k)
        return None if k is None or d is None else StochasticValue(k, d)

    @property
    def _window(self) -> int:
        return self.stochastic + self.k + self.d - 3

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._rsi, self._extremes, self._k, self._d)

    def _made(self, numbers: tuple[float, ...]) -> StochasticValue:
        return StochasticValue(*numbers)
