"""Means in which the past fades by a constant factor."""

from core.indicators.base import HIGH, LOW, Scalar, fading, whole


class Decaying(Scalar):
    """A mean in which the past fades by a constant factor; seeded with the mean of `period`.

    Both seeds lie within the range of the numbers before them, so `convergence` is the number
    of updates after which that range weighs `CONVERGED`.
    """

    __slots__ = ("_seen", "_sum", "_weight", "period")

    def __init__(self, period: int, weight: float) -> None:
        self.period = whole(self.name, "period", period)
        self._weight = weight
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """The period: its mean is the first value."""
        return self.period

    @property
    def convergence(self) -> int:
        """Lookback, and as long as it takes for the seed to weigh `CONVERGED`."""
        return self.period + fading(1.0 - self._weight)

    def update(self, x: float) -> float | None:
        """Take the next final number; return the mean, or None until there are `period`."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        before = self.value
        if before is None:
            return self._seed(x)
        self.previous = before
        self.value = value = before + (x - before) * self._weight
        return value

    def peek(self, x: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        if self.value is not None:
            return self.value + (x - self.value) * self._weight
        return (self._sum + x) / self.period if self._seen + 1 == self.period else None

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self.value = self.previous = None
        self._seen, self._sum = 0, 0.0

    def _seed(self, x: float) -> float | None:
        self._seen += 1
        self._sum += x
        if self._seen == self.period:
            self.value = self._sum / self.period
        return self.value

    def _state(self) -> tuple[float, ...]:
        return () if self.value is not None else (self._seen, self._sum)

    def _load(self, state: tuple[float, ...]) -> None:
        if self.value is None:
            seen, self._sum = state
            self._seen = int(seen)
        elif state:
            raise ValueError(state)
