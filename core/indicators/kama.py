"""Kaufman's adaptive moving average."""

from core.indicators.base import HIGH, LOW, IndicatorError, Scalar, fading, whole
from core.indicators.composed import Composed
from core.indicators.pieces import Lag, Piece, Rolled
from core.indicators.window import Window


class Kama(Composed[float], Scalar):
    """Exponential mean that is fast where the price goes straight, and slow where it wavers.

    The efficiency is the way over the last `period` moves, start to end, in units of all that was
    walked, from 0 to 1. The weight of a number is (efficiency (f - s) + s)², where f and s are
    those of exponential means of `fast` and `slow`.

    Variant: Kaufman's 2 and 30 by default; begins at the last number before its first value, and
    takes the efficiency for 1 where nothing moved, as TA-Lib. The way walked is an exact sum.

    After `convergence` numbers two instances differ by at most `CONVERGED` times the range of what
    came before; as a rule much sooner, for the bound is that of efficiency 0 throughout.

    Args:
        period: Moves the efficiency is taken of, at least 2.
        fast: Period of the mean at efficiency 1, at least 1.
        slow: Period of the mean at efficiency 0, more than `fast`.

    References:
        Perry J. Kaufman, *Smarter Trading*, 1995.

    >>> kama = Kama(2)
    >>> [kama.update(x) for x in (1.0, 2.0, 3.0)]
    [None, None, 2.444444444444444]
    >>> kama.lookback, kama.convergence
    (3, 6628)

    """

    __slots__ = ("_lag", "_last", "_span", "_walked", "_weight", "fast", "period", "slow")

    name = "kama"

    def __init__(self, period: int = 10, fast: int = 2, slow: int = 30) -> None:
        self.period = whole(self.name, "period", period, least=2)
        self.fast = whole(self.name, "fast", fast)
        self.slow = whole(self.name, "slow", slow)
        if fast >= slow:
            raise IndicatorError(self.name, f"fast `{fast}` must be less than slow `{slow}`")
        self._weight = 2.0 / (slow + 1)
        self._span = 2.0 / (fast + 1) - self._weight
        self._lag, self._last, self._walked = Lag(period), Lag(1), Rolled(Window, period)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period, and those of its fastest and slowest mean."""
        return (self.period, self.fast, self.slow)

    @property
    def lookback(self) -> int:
        """The period and one: it takes `period` moves."""
        return self.period + 1

    @property
    def convergence(self) -> int:
        """Lookback, and as long as the slowest mean takes to forget."""
        return self.lookback + fading(1.0 - self._weight**2)

    def update(self, x: float) -> float | None:
        """Take the next final number; return the mean, or None until there were enough moves."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        before, last = self._lag.push(x), self._last.push(x)
        if last is None:
            return None
        walked = self._walked.push(abs(x - last))
        if before is None or walked is None:
            return None
        return self._say(self._moved(x, before, last, walked))

    def peek(self, x: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        before, last = self._lag.peek(), self._last.peek()
        if before is None or last is None:
            return None
        walked = self._walked.peek(abs(x - last))
        return None if walked is None else self._moved(x, before, last, walked)

    def _moved(self, x: float, before: float, last: float, walked: float) -> float:
        mean = last if self.value is None else self.value
        walked *= self.period
        efficiency = min(1.0, abs(x - before) / walked) if walked else 1.0
        weight = efficiency * self._span + self._weight
        return mean + (x - mean) * (weight * weight)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._lag, self._last, self._walked)
