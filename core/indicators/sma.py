"""Simple moving average."""

from core.indicators.base import HIGH, LOW, Scalar, whole
from core.indicators.window import Window


class Sma(Scalar):
    """Mean of the last `period` numbers.

    Variant: all weigh the same; correctly rounded, from exact sums (`core.indicators.window`).

    Args:
        period: At least 1.

    >>> sma = Sma(3)
    >>> [sma.update(x) for x in (1.0, 3.0, 5.0, 10.0)]
    [None, None, 3.0, 6.0]
    >>> sma.peek(0.0), sma.value
    (5.0, 6.0)

    """

    __slots__ = ("_seen", "_window", "period")

    name = "sma"

    def __init__(self, period: int) -> None:
        self.period = whole(self.name, "period", period)
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

    def update(self, x: float) -> float | None:
        """Take the next final number; return the mean, or None until there are `period`."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        mean = self._window.push(x)
        if self._seen < self.period:
            self._seen += 1
            if self._seen < self.period:
                return None
        self.previous = self.value
        self.value = mean
        return mean

    def peek(self, x: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        return None if self._seen + 1 < self.period else self._window.peek(x)

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self.value = self.previous = None
        self._seen = 0
        self._window = Window(self.period)

    def _state(self) -> tuple[float, ...]:
        return (self._seen, *self._window.numbers()[self.period - self._seen :])

    def _load(self, state: tuple[float, ...]) -> None:
        seen, *numbers = state
        if len(numbers) != seen or seen > self.period:
            raise ValueError(seen)
        for x in numbers:
            self._window.push(x)
        self._seen = len(numbers)
