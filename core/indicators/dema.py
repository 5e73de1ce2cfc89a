"""Double exponential moving average."""

from core.indicators.base import HIGH, LOW, Scalar, whole
from core.indicators.composed import Composed
from core.indicators.ema import Ema
from core.indicators.pieces import Piece


class Dema(Composed[float], Scalar):
    """Exponential mean, plus how far its own exponential mean lags behind it: 2 EMA - EMA(EMA).

    Variant: each mean is seeded with the simple mean of its first `period` numbers (TA-Lib).

    While nothing moves it stays at the price. After `convergence` numbers two instances differ by
    at most 10 times `CONVERGED` times the range of what came before.

    Args:
        period: At least 1.

    References:
        Patrick G. Mulloy, "Smoothing Data with Faster Moving Averages", *Technical Analysis of
        Stocks & Commodities*, January 1994.

    >>> dema = Dema(2)
    >>> [dema.update(x) for x in (1.0, 2.0, 3.0, 4.0, 5.0)]
    [None, None, 3.0, 4.0, 5.0]
    >>> dema.peek(6.0), dema.lookback, dema.convergence
    (6.0, 3, 55)

    """

    __slots__ = ("_first", "_second", "period")

    name = "dema"

    def __init__(self, period: int) -> None:
        self.period = whole(self.name, "period", period)
        self._first, self._second = Ema(period), Ema(period)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """Twice the period, less one: the second mean begins with the first one's first value."""
        return 2 * self.period - 1

    @property
    def convergence(self) -> int:
        """That of the first mean, and then that of the second."""
        return self._first.convergence + self._second.convergence - 1

    def update(self, x: float) -> float | None:
        """Take the next final number; return the value, or None until `lookback` were given."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        first = self._first.update(x)
        second = None if first is None else self._second.update(first)
        if first is None or second is None:
            return None
        return self._say(2.0 * first - second)

    def peek(self, x: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        first = self._first.peek(x)
        second = None if first is None else self._second.peek(first)
        return None if first is None or second is None else 2.0 * first - second

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._first, self._second)
