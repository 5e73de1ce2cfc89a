"""A set of features, kline by kline: one class for training and for the flow, so they agree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, isfinite, log, log1p, nan, pi, sin
from operator import attrgetter, itemgetter
from typing import Any, Protocol, TypeAlias

from core.indicators.base import Indicator, IndicatorError
from core.indicators.pieces import Lag
from core.market.errors import SnapshotError
from core.market.intervals import DAY_US, WEEK_US
from core.market.kline import Kline
from strategies.ml.features import Feature, FeatureSet

Values: TypeAlias = tuple[float, ...]
"""One number per feature; NaN where it is not known."""

_VERSION = "features-1"
_MONDAY_US = 4 * DAY_US  # 1970-01-01 was a Thursday


class _Column(Protocol):
    @property
    def lookback(self) -> int: ...

    @property
    def convergence(self) -> int: ...

    def update(self, kline: Kline) -> float: ...

    def dump(self) -> tuple[Any, ...]: ...

    def load(self, state: tuple[Any, ...]) -> None: ...


class _Driven:
    """An indicator, updated once for all columns that show a part of it."""

    def __init__(self, indicator: Indicator[Any], source: str) -> None:
        self.indicator = indicator
        self.fault = False
        names = indicator.inputs or (source,)
        several = attrgetter(*names)
        self._read: Callable[[Kline], Sequence[float]] = (
            several if len(names) > 1 else lambda kline: (getattr(kline, names[0]),)
        )

    def update(self, kline: Kline) -> None:
        try:
            self.indicator.update(*self._read(kline))
            self.fault = False
        except IndicatorError:  # a price of 0: it has changed nothing, and this row has no value
            self.fault = True


@dataclass(slots=True)
class _Part:
    """A number of an indicator's value."""

    driven: _Driven
    at: int | None
    relative: bool

    @property
    def lookback(self) -> int:
        return self.driven.indicator.lookback

    @property
    def convergence(self) -> int:
        return self.driven.indicator.convergence

    def update(self, kline: Kline) -> float:
        value = self.driven.indicator.value
        if value is None or self.driven.fault:
            return nan
        number = float(value if self.at is None else itemgetter(self.at)(value))
        if not self.relative:
            return number
        return log(kline.close / number) if number > 0 and kline.close > 0 else nan

    def dump(self) -> tuple[Any, ...]:
        return ()

    def load(self, state: tuple[Any, ...]) -> None:
        if state:
            raise ValueError(state)


class _Return:
    """The logarithm of how many times a price is the one some klines before."""

    def __init__(self, klines: int, source: str) -> None:
        self.lookback = self.convergence = klines + 1
        self._read = attrgetter(source)
        self._before = Lag(klines)

    def update(self, kline: Kline) -> float:
        x = float(self._read(kline))
        before = self._before.push(x)
        if before is None or not (before > 0 and x > 0):
            return nan
        # Within a factor of two the difference is exact, and small returns keep their digits.
        return log1p((x - before) / before) if 0.5 < x / before < 2.0 else log(x) - log(before)

    def dump(self) -> tuple[Any, ...]:
        return self._before.dump()

    def load(self, state: tuple[Any, ...]) -> None:
        self._before.reset()
        self._before.load(state)


class _Clock:
    """Where the end of a kline stands in the day or week, on a circle."""

    lookback = convergence = 1

    def __init__(self, period_us: int, offset_us: int, wave: Callable[[float], float]) -> None:
        self._period_us, self._offset_us, self._wave = period_us, offset_us, wave

    def update(self, kline: Kline) -> float:
        at = (kline.close_us + 1 - self._offset_us) % self._period_us
        return self._wave(2.0 * pi * at / self._period_us)

    def dump(self) -> tuple[Any, ...]:
        return ()

    def load(self, state: tuple[Any, ...]) -> None:
        if state:
            raise ValueError(state)


class _Lagged:
    """A column as it was some klines before."""

    def __init__(self, column: _Column, klines: int) -> None:
        self._column, self._held = column, Lag(klines)
        self.lookback = column.lookback + klines
        self.convergence = column.convergence + klines

    def update(self, kline: Kline) -> float:
        before = self._held.push(self._column.update(kline))
        return nan if before is None else before

    def dump(self) -> tuple[Any, ...]:
        return (self._column.dump(), self._held.dump())

    def load(self, state: tuple[Any, ...]) -> None:
        inner, held = state
        self._column.load(inner)
        self._held.reset()
        self._held.load(held)


class Columns:
    """Computes a set of features.

    Args:
        features: What to compute.

    Attributes:
        seen: Klines taken so far.
        lookback: Klines until each column has a number.
        warmup: Klines until a row may be used: until the start no longer matters, unless the set
            says otherwise.

    """

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self.names = features.columns
        self.definition = features.definition
        self.seen = 0
        self._driven: dict[tuple[object, ...], _Driven] = {}
        self._columns = [self._made(feature) for feature in features.features]
        self.lookback = max(column.lookback for column in self._columns)
        converged = max(column.convergence for column in self._columns)
        self.warmup = features.warmup or max(self.lookback, converged)

    def update(self, kline: Kline) -> Values:
        """Take the next final kline; return a number for each column."""
        for driven in self._driven.values():
            driven.update(kline)
        self.seen += 1
        return tuple([column.update(kline) for column in self._columns])

    def fault(self, values: Values) -> str:
        """Say why a row cannot be used; empty if it can."""
        if self.seen < self.warmup:
            return f"warming up, {self.seen} of {self.warmup} klines"
        for name, value in zip(self.names, values, strict=True):
            if not isfinite(value):
                return f"feature `{name}` is not finite"
        return ""

    def snapshot(self) -> tuple[Any, ...]:
        """Return everything needed to go on, as plain values."""
        driven = tuple(d.indicator.snapshot() for d in self._driven.values())
        columns = tuple(column.dump() for column in self._columns)
        return (_VERSION, self.definition, self.seen, driven, columns)

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        """Go on from a snapshot.

        Raises:
            SnapshotError: It is of another definition or version, or damaged.

        """
        if tuple(snapshot[:2]) != (_VERSION, self.definition):
            raise SnapshotError("features", snapshot[:2], (_VERSION, self.definition))
        _, _, seen, driven, columns = snapshot
        try:
            for one, state in zip(self._driven.values(), driven, strict=True):
                one.indicator.restore(state)
            for column, state in zip(self._columns, columns, strict=True):
                column.load(state)
        except (TypeError, ValueError, IndexError) as error:
            raise SnapshotError("features", error, "as many numbers as they take") from None
        self.seen = seen

    def _made(self, feature: Feature) -> _Column:
        column = self._plain(feature)
        return _Lagged(column, feature.lag) if feature.lag else column

    def _plain(self, feature: Feature) -> _Column:
        source = feature.source or "close"
        indicator = feature.made()
        if indicator is not None:
            key = (repr(indicator), source)
            driven = self._driven.setdefault(key, _Driven(indicator, source))
            at = indicator.parts.index(feature.output) if indicator.parts else None
            return _Part(driven, at, feature.relative)
        if feature.return_ is not None:
            return _Return(feature.return_, source)
        if feature.time_of_day is not None:
            return _Clock(DAY_US, 0, sin if feature.time_of_day == "sin" else cos)
        return _Clock(WEEK_US, _MONDAY_US, sin if feature.day_of_week == "sin" else cos)
