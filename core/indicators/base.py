"""The contract of indicators, and what they share. Numbers go in one at a time, float64.

    update(x)   a final number     → the new value, or None until it is known
    peek(x)     a forming number   → the value it would give; nothing changes

An update takes constant time (a growing precision apart, see `core.indicators.window`) and memory
bounded by the parameters. Once there is a value there always is one.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import ceil, log
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.market.errors import MarketError, SnapshotError

Value = TypeVar("Value")
"""What an indicator says: a float, or a named tuple of floats."""

Snapshot: TypeAlias = tuple[float | str, ...]
"""Name, version, parameters, state: plain numbers and strings, so no rename can break it."""

HIGH = 1e100
"""Numbers are refused from here on (and with them NaN and infinity): sums cannot overflow."""

LOW = -HIGH

CONVERGED = 1e-12
"""What is left of the past after `convergence` numbers, relative to the range of that past."""


class IndicatorError(MarketError):
    """An indicator was given a number or a parameter that it cannot use."""

    def __init__(self, indicator: str, why: str) -> None:
        self.indicator, self.why = indicator, why

    def __str__(self) -> str:
        return f"indicator `{self.indicator}`: {self.why}"


class Indicator(ABC, Generic[Value]):
    """Base of all. A new one declares `name`, implements what is abstract, and is registered.

    Attributes:
        value: The last result; None until there is one.
        previous: The result before it; None until there is one.

    """

    __slots__ = ("previous", "value")

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Changes when the same numbers would give another value, or the state another meaning."""

    parts: ClassVar[tuple[str, ...]] = ()
    """Names of the floats in a value; empty when the value is itself a float."""

    value: Value | None
    previous: Value | None

    @property
    @abstractmethod
    def parameters(self) -> tuple[float | str, ...]:
        """What it was made with, in the order of the constructor."""

    @property
    @abstractmethod
    def lookback(self) -> int:
        """How many numbers it takes until the first value."""

    @property
    @abstractmethod
    def convergence(self) -> int:
        """How many numbers it takes until the start no longer matters; at least `lookback`.

        After that many a fresh instance equals one that has run for long: bit for bit where the
        value depends on a window only, else to `CONVERGED` of the range of the numbers before
        (each class says what that means for its value), and to rounding.
        """

    @abstractmethod
    def update(self, x: float) -> Value | None:
        """Take the next final number; return the value, or None until it is known.

        Raises:
            IndicatorError: The number is NaN, infinite or beyond `HIGH`; nothing has changed.

        """

    @abstractmethod
    def peek(self, x: float) -> Value | None:
        """Return what `update` would return, and change nothing. Raises as `update`."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything but the parameters."""

    @abstractmethod
    def _state(self) -> tuple[float, ...]: ...

    @abstractmethod
    def _load(self, state: tuple[float, ...]) -> None: ...

    @abstractmethod
    def _flat(self, value: Value) -> tuple[float, ...]: ...

    @abstractmethod
    def _made(self, numbers: tuple[float, ...]) -> Value: ...

    def snapshot(self) -> Snapshot:
        """Return everything needed to go on, as a flat tuple of numbers and strings."""
        outputs = [v for v in (self.value, self.previous) if v is not None]
        numbers = [float(x) for v in outputs for x in self._flat(v)]
        state = (float(x) for x in self._state())
        return (*self._head(), len(outputs), *numbers, *state)

    def restore(self, snapshot: Sequence[float | str]) -> None:
        """Go on from a snapshot.

        Raises:
            SnapshotError: It is of another class, version or parameters, or damaged.

        """
        head, rest = self._head(), tuple(snapshot)
        if rest[: len(head)] != head:
            raise SnapshotError(repr(self), rest[: len(head)], head)
        self.reset()
        try:
            self._resume(rest[len(head) :])
        except (TypeError, ValueError, IndexError):
            self.reset()
            raise SnapshotError(repr(self), rest, "as many numbers as it takes") from None

    def update_many(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take many numbers; return the value after each, the same bits as single updates.

        Args:
            values: Final numbers, shape (n,).

        Returns:
            Shape (n,), or (n, len(parts)) where a value has parts; NaN where there is none yet.

        Raises:
            IndicatorError: One of them is unusable; then none has been taken.

        """
        column = self._usable(values)
        rows = [self.update(x) for x in column.tolist()]
        shape = (len(rows), len(self.parts)) if self.parts else (len(rows),)
        out = np.full(shape, np.nan)
        known = [row for row in rows if row is not None]
        if known:
            out[len(rows) - len(known) :] = known
        return out

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.parameters))})"

    def _head(self) -> Snapshot:
        return (self.name, self.version, *self.parameters)

    def _resume(self, rest: tuple[Any, ...]) -> None:
        outputs, width = rest[0], max(1, len(self.parts))
        numbers = tuple(map(float, rest[1:]))
        if outputs not in (0, 1, 2) or len(numbers) < outputs * width:
            raise ValueError(outputs)
        if outputs:
            self.value = self._made(numbers[:width])
        if outputs == 2:
            self.previous = self._made(numbers[width : 2 * width])
        self._load(numbers[outputs * width :])

    def _usable(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        column = np.asarray(values, dtype=np.float64)
        if column.ndim != 1:
            raise IndicatorError(repr(self), f"expected one column, not shape {column.shape}")
        # NaN compares false, so this finds it as well.
        bad = np.flatnonzero(~(np.abs(column) < HIGH))
        if bad.size:
            raise self._refusal(float(column[bad[0]]), f" (row {bad[0]})")
        return column

    def _refusal(self, x: float, where: str = "") -> IndicatorError:
        return IndicatorError(repr(self), f"`{x}` is not a finite number below {HIGH:g}{where}")


class Scalar(Indicator[float]):
    """An indicator whose value is one float."""

    __slots__ = ()

    def crossed_above(self, level: float) -> bool:
        """Say whether the last update took the value from `level` or below to above it."""
        before, now = self.previous, self.value
        return before is not None and now is not None and before <= level < now

    def crossed_below(self, level: float) -> bool:
        """Say whether the last update took the value from `level` or above to below it."""
        before, now = self.previous, self.value
        return before is not None and now is not None and now < level <= before

    def _flat(self, value: float) -> tuple[float, ...]:
        return (value,)

    def _made(self, numbers: tuple[float, ...]) -> float:
        return numbers[0]


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


def whole(indicator: str, parameter: str, value: int, *, least: int = 1) -> int:
    """Return a whole number that is at least `least`, or raise `IndicatorError`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        why = f"{parameter} must be a whole number of at least {least}, not `{value}`"
        raise IndicatorError(indicator, why)
    return value


def fading(factor: float) -> int:
    """Return how many updates it takes until what fades by `factor` each weighs `CONVERGED`.

    >>> fading(0.0), fading(0.5)
    (1, 40)
    """
    return 1 if factor <= 0 else ceil(log(CONVERGED) / log(factor))
