"""The contract of indicators, and what they share. Numbers are float64.

    update(x)   a final number     → the new value, or None until it is known
    peek(x)     a forming number   → the value it would give; nothing changes

Some take one number a time, of whatever series. Those that need several of a kline name them in
`inputs` and take them in that order: ``update(high, low, close)``.

An update takes constant time, at worst on average or times log n (a growing precision apart, see
`core.indicators.window`), and memory bounded by the parameters. Once there is a value there always
is one.
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

Parts = TypeVar("Parts", bound=tuple[float, ...])
"""A named tuple of floats."""

Snapshot: TypeAlias = tuple[float | str, ...]
"""Name, version, parameters, state: plain numbers and strings, so no rename can break it."""

HIGH = 1e100
"""Numbers are refused from here on (and with them NaN and infinity): sums cannot overflow."""

LOW = -HIGH

KLINE = f"low <= close <= high, bought <= volume, all from 0 to below {HIGH:g}"
"""What the numbers of a kline fulfil; in a flat one without volume they are equal, and 0."""

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

    inputs: ClassVar[tuple[str, ...]] = ()
    """Names of the kline's numbers it takes, in order; empty when it takes one of any series."""

    settles: ClassVar[bool] = True
    """Whether the start surely stops to matter; if not, the class says what `convergence` is."""

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

    # Of any arguments here, so that each class can name its own.
    @abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> Value | None:  # noqa: ANN401 - see above
        """Take the next final number, or those of a kline; return the value, or None.

        Raises:
            IndicatorError: A number is NaN, infinite or beyond `HIGH`, or those of a kline
                contradict each other (`KLINE`); nothing has changed.

        """

    @abstractmethod
    def peek(self, *args: Any, **kwargs: Any) -> Value | None:  # noqa: ANN401 - see above
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
        return (*self._head(), *self.dump())

    def dump(self) -> tuple[float, ...]:
        """Return the numbers of the snapshot: what an indicator keeps of those it is made of."""
        outputs = [v for v in (self.value, self.previous) if v is not None]
        numbers = [float(x) for v in outputs for x in self._flat(v)]
        return (len(outputs), *numbers, *(float(x) for x in self._state()))

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
            self.load(rest[len(head) :])
        except (TypeError, ValueError, IndexError, OverflowError):
            self.reset()
            raise SnapshotError(repr(self), rest, "as many numbers as it takes") from None

    def load(self, dumped: tuple[Any, ...]) -> None:
        """Go on from what `dump` returned, after a `reset`; damage raises one of three errors.

        Raises:
            ValueError: There are more or less numbers than it takes; so do the next two.
            TypeError: One is no number.
            IndexError: There are none.

        """
        outputs, width = dumped[0], max(1, len(self.parts))
        numbers = tuple(map(float, dumped[1:]))
        if outputs not in (0, 1, 2) or len(numbers) < outputs * width:
            raise ValueError(outputs)
        if outputs:
            self.value = self._made(numbers[:width])
        if outputs == 2:
            self.previous = self._made(numbers[width : 2 * width])
        self._load(numbers[int(outputs) * width :])

    def update_many(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take many numbers; return the value after each, the same bits as single updates.

        Args:
            values: Final numbers, shape (n,), or (n, len(inputs)) where it has inputs.

        Returns:
            Shape (n,), or (n, len(parts)) where a value has parts; NaN where there is none yet.

        Raises:
            IndicatorError: One of them is unusable; then none has been taken.

        """
        if self.inputs:
            rows = self._klines(values)
        else:
            rows = [self.update(x) for x in self._usable(values).tolist()]
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

    def _say(self, value: Value) -> Value:
        self.previous = self.value
        self.value = value
        return value

    def _klines(self, values: NDArray[np.float64]) -> list[Value | None]:
        table = np.asarray(values, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != len(self.inputs):
            why = f"expected columns {', '.join(self.inputs)}, not shape {table.shape}"
            raise IndicatorError(repr(self), why)
        before, said = self.dump(), []
        for n, row in enumerate(table.tolist()):
            try:
                said.append(self.update(*row))
            except IndicatorError as bad:
                self.reset()
                self.load(before)
                raise IndicatorError(repr(self), f"{bad.why} (row {n})") from None
        return said

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

    def _contradiction(self, *numbers: float) -> IndicatorError:
        given = ", ".join(f"{name} `{x}`" for name, x in zip(self.inputs, numbers, strict=True))
        return IndicatorError(repr(self), f"{given}: not of one kline, where {KLINE}")


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


class Several(Indicator[Parts]):
    """An indicator whose value is a named tuple of floats."""

    __slots__ = ()

    def _flat(self, value: Parts) -> tuple[float, ...]:
        return value


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


def positive(indicator: str, parameter: str, value: float) -> float:
    """Return a number above 0 and below `HIGH`, or raise `IndicatorError`."""
    if not 0 < value < HIGH:
        raise IndicatorError(indicator, f"{parameter} must be more than 0, not `{value}`")
    return float(value)
