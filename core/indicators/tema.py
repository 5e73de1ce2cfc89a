"""Triple exponential moving average."""

from core.indicators.base import HIGH, LOW, Scalar, whole
from core.indicators.composed import Composed
from core.indicators.ema import Ema
from core.indicators.pieces import Piece


class Tema(Composed[float], Scalar):
    """Exponential mean without its lag: 3 EMA - 3 EMA(EMA) + EMA(EMA(EMA)).

    Variant: each mean is seeded with the simple mean of its first `period` numbers (TA-Lib).

    While nothing moves it stays at the price. After `convergence` numbers two instances differ by
    at most 100 times `CONVERGED` times the range of what came before.

    Args:
        period: At least 1.

    References:
        Patrick G. Mulloy, "Smoothing Data with Less Lag", *Technical Analysis of Stocks &
        Commodities*, February 1994.

    >>> tema = Tema(2)
    >>> [tema.update(x) for x in (1.0, 2.0, 3.0, 4.0, 5.0)]
    [None, None, None, 4.0, 5.0]
    >>> tema.peek(6.0), tema.lookback, tema.convergence
    (6.0, 4, 82)

    """

    __slots__ = ("_first", "_second", "_third", "period")

    name = "tema"

    def __init__(self, period: int) -> None:
        self.period = whole(self.name, "period", period)
        self._first, self._second, self._third = Ema(period), Ema(period), Ema(period)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """Three times the period, less two: each mean begins with the first value before it."""
        return 3 * self.period - 2

    @property
    def convergence(self) -> int:
        """Those of the three means, one after the other."""
        return 3 * self._first.convergence - 2

    def update(self, x: float) -> float | None:
        """Take the next final number; return the value, or None until `lookback` were given."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        first = self._first.update(x)
        second = None if first is None else self._second.update(first)
        third = None if second is None else self._third.update(second)
        if first is None or second is None or third is None:
            return None
        return self._say(3.0 * first - 3.0 * second + third)

    def peek(self, x: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        first = self._first.peek(x)
        second = None if first is None else self._second.peek(first)
        third = None if second is None else self._third.peek(second)
        if first is None or second is None or third is None:
            return None
        return 3.0 * first - 3.0 * second + third

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._first, self._second, self._third)
