"""Moving average convergence/divergence."""

from typing import NamedTuple

from core.indicators.base import HIGH, LOW, IndicatorError, Several, fading, whole


class MacdValue(NamedTuple):
    """The line (fast minus slow mean), its own mean, and their difference."""

    line: float
    signal: float
    histogram: float


class Macd(Several[MacdValue]):
    """Difference of a fast and a slow exponential mean, and the exponential mean of it.

    Variant: TA-Lib's: the slow mean is seeded with the first `slow` numbers, the fast one with the
    last `fast` of these, so that both start at the same number; the signal is seeded with the first
    `signal` differences.

    Others seed the fast mean with the first `fast` numbers and let it run; the two agree after
    `convergence` numbers. TA-Lib's was chosen because then every value, from the first on, can be
    checked. All three are 0 while nothing moves.

    After `convergence` numbers two instances differ by at most 3 times `CONVERGED` times the
    range of what came before.

    Args:
        fast: Period of the fast mean, at least 2.
        slow: Period of the slow mean, more than `fast`.
        signal: Period of the mean of the difference, at least 1.

    References:
        Gerald Appel, *Technical Analysis: Power Tools for Active Investors*, 2005.

    >>> macd = Macd(2, 4, 2)
    >>> rows = [macd.update(x) for x in (1.0, 2.0, 3.0, 4.0, 5.0, 8.0)]
    >>> rows[3], rows[4]
    (None, MacdValue(line=1.0, signal=1.0, histogram=0.0))
    >>> [round(x, 6) for x in rows[5]]
    [1.533333, 1.355556, 0.177778]
    >>> macd.lookback, Macd().convergence
    (5, 518)

    """

    __slots__ = ("_fast", "_fast_weight", "_seen", "_signal", "_signal_weight", "_slow",
                 "_slow_weight", "fast", "signal", "slow")  # fmt: skip

    name = "macd"
    parts = MacdValue._fields

    _fast: float
    _signal: float
    _slow: float

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        self.fast = whole(self.name, "fast", fast, least=2)
        self.slow = whole(self.name, "slow", slow, least=3)
        self.signal = whole(self.name, "signal", signal)
        if fast >= slow:
            raise IndicatorError(self.name, f"fast `{fast}` must be less than slow `{slow}`")
        self._fast_weight = 2.0 / (fast + 1)
        self._slow_weight = 2.0 / (slow + 1)
        self._signal_weight = 2.0 / (signal + 1)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The periods: fast, slow, signal."""
        return (self.fast, self.slow, self.signal)

    @property
    def lookback(self) -> int:
        """Slow and signal: the signal's first number is the slow mean's first value."""
        return self.slow + self.signal - 1

    @property
    def convergence(self) -> int:
        """Lookback, until the slow mean has forgotten, and then until the signal has."""
        return self.lookback + fading(1.0 - self._slow_weight) + fading(1.0 - self._signal_weight)

    def update(self, x: float) -> MacdValue | None:
        """Take the next final number; return the value, or None until `lookback` were given."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        before = self.value
        if before is None:
            return self._seed(x)
        fast, slow, signal = self._fast, self._slow, self._signal
        self._fast = fast = (x - fast) * self._fast_weight + fast
        self._slow = slow = (x - slow) * self._slow_weight + slow
        line = fast - slow
        self._signal = signal = (line - signal) * self._signal_weight + signal
        self.previous = before
        # Half the time of calling MacdValue, whose own __new__ does just this.
        self.value = value = tuple.__new__(MacdValue, (line, signal, line - signal))
        return value

    def peek(self, x: float) -> MacdValue | None:
        """Return what `update` would return, and change nothing."""
        if self.value is None:
            return self._peek_seed(x)
        if not LOW < x < HIGH:
            raise self._refusal(x)
        fast, slow, signal = self._fast, self._slow, self._signal
        fast = (x - fast) * self._fast_weight + fast
        slow = (x - slow) * self._slow_weight + slow
        line = fast - slow
        signal = (line - signal) * self._signal_weight + signal
        return MacdValue(line, signal, line - signal)

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self.value = self.previous = None
        self._seen = 0
        # Until the means are seeded: the sums of the numbers that will seed them.
        self._fast = self._slow = self._signal = 0.0

    def _seed(self, x: float) -> MacdValue | None:
        self._seen += 1
        if self._seen <= self.slow:
            self._slow += x
            if self._seen > self.slow - self.fast:
                self._fast += x
            if self._seen < self.slow:
                return None
            self._fast /= self.fast
            self._slow /= self.slow
        else:
            self._fast += (x - self._fast) * self._fast_weight
            self._slow += (x - self._slow) * self._slow_weight
        line = self._fast - self._slow
        self._signal += line
        if self._seen == self.lookback:
            self._signal /= self.signal
            self.value = MacdValue(line, self._signal, line - self._signal)
        return self.value

    def _peek_seed(self, x: float) -> MacdValue | None:
        twin = Macd(self.fast, self.slow, self.signal)
        twin.restore(self.snapshot())
        return twin.update(x)

    def _state(self) -> tuple[float, ...]:
        return (self._seen, self._fast, self._slow, self._signal)

    def _load(self, state: tuple[float, ...]) -> None:
        seen, self._fast, self._slow, self._signal = state
        self._seen = int(seen)

    def _made(self, numbers: tuple[float, ...]) -> MacdValue:
        return MacdValue(*numbers)
