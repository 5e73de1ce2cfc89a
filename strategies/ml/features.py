"""What a model sees, declared by name and parameters.

    {"indicator": "rsi", "params": {"period": 14}}     any indicator; `output` names one of several
    {"return": 5}                                      logarithmic return over 5 klines
    {"volatility": 20}                                 deviation of the last 20 returns
    {"taker_imbalance": 20}                            who was hastier, buyers or sellers
    {"time_of_day": "sin"}, {"day_of_week": "cos"}     where the clock stands when the kline ends

Each is a column with a readable name. The hash of a definition tells what its numbers mean: a model
sees only rows of the definition that it was trained on.
"""

from collections import Counter
from hashlib import sha256
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.indicators.base import Indicator, IndicatorError
from core.indicators.registry import INDICATORS
from core.market.errors import IntervalError
from core.market.intervals import interval
from strategies.feeding import INPUTS, Source

Wave = Literal["sin", "cos"]

_KINDS = ("indicator", "return", "volatility", "taker_imbalance", "time_of_day", "day_of_week")
_SHORT = {"volatility": "volatility", "taker_imbalance": "taker_imbalance"}
"""Kinds that are indicators of one period."""


class Feature(BaseModel):
    """One column: exactly one of its six kinds, and what is said about it.

    >>> Feature.model_validate({"return": 5}).column
    'return_5'
    >>> Feature(indicator="macd", params={"fast": 3}, output="line", lag=2).column
    'macd_3_line_lag_2'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: Annotated[str, Field(description="Of the column; made of the rest unless given.")] = ""
    indicator: Annotated[str | None, Field(description="Registered name of an indicator.")] = None
    params: Annotated[
        dict[str, bool | int | float | str], Field(description="Its parameters, by name.")
    ] = {}
    output: Annotated[str, Field(description="Which part, where its value has several.")] = ""
    source: Annotated[
        Source | None, Field(description="What of a kline it takes; the close unless given.")
    ] = None
    relative: Annotated[
        bool, Field(description="ln(close / value) instead of the value: for prices.")
    ] = False
    return_: Annotated[
        int | None, Field(alias="return", ge=1, le=10_000, description="Klines of a return.")
    ] = None
    volatility: Annotated[int | None, Field(ge=2, le=10_000)] = None
    taker_imbalance: Annotated[int | None, Field(ge=1, le=10_000)] = None
    time_of_day: Wave | None = None
    day_of_week: Wave | None = None
    lag: Annotated[int, Field(ge=0, le=1000, description="As it was so many klines ago.")] = 0

    @property
    def kind(self) -> str:
        """Which of the six it is."""
        return next(k for k in _KINDS if self._of(k) is not None)

    @property
    def is_clock(self) -> bool:
        """Whether it depends on the time alone: a short window never has all of a day."""
        return self.time_of_day is not None or self.day_of_week is not None

    @property
    def column(self) -> str:
        """Name of its column."""
        if self.name:
            return self.name
        kind = self.kind
        parts = [kind, self._of(kind)]
        if kind == "indicator":
            parts = [self.indicator, *self.params.values(), self.output]
        parts += [self.source, "relative" if self.relative else ""]
        parts += ["lag", self.lag] if self.lag else []
        return "_".join(str(part) for part in parts if part not in ("", None))

    def made(self) -> Indicator[Any] | None:
        """Return its indicator, new; None where it has none.

        Raises:
            ValueError: There is no such indicator, or it does not take these parameters.

        """
        kind = self.kind
        name = self.indicator if kind == "indicator" else _SHORT.get(kind)
        if name is None:
            return None
        found = INDICATORS.get(name)
        if found is None:
            raise ValueError(f"no indicator `{name}`; there are {' '.join(INDICATORS)}")
        params: dict[str, Any] = self.params if kind == "indicator" else {"period": self._of(kind)}
        try:
            return found(**params)
        except (TypeError, IndicatorError) as error:
            raise ValueError(f"indicator `{name}`: {error}") from None

    def canonical(self) -> list[object]:
        """Return all that its numbers depend on, as plain values."""
        said = self.model_dump(by_alias=True, exclude_defaults=True, exclude={"name"})
        made = self.made()
        return [said] if made is None else [said, made.version, *made.parameters]

    def _of(self, kind: str) -> object:
        return self.return_ if kind == "return" else getattr(self, kind)

    @model_validator(mode="after")
    def _is_one(self) -> "Feature":
        kinds = [k for k in _KINDS if self._of(k) is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"a feature is one of {', '.join(_KINDS)}; this is {len(kinds)} of them"
            )
        if kinds != ["indicator"] and (self.params or self.output or self.relative):
            raise ValueError("only an indicator has params, output or relative")
        if self.source is not None and kinds[0] not in ("indicator", "return", "volatility"):
            raise ValueError(f"{kinds[0]} has no source")
        made = self.made()
        if made is not None:
            self._fits(made)
        return self

    def _fits(self, made: Indicator[Any]) -> None:
        if made.parts and self.output not in made.parts:
            raise ValueError(
                f"{made!r} has several values: output is one of {', '.join(made.parts)}"
            )
        if not made.parts and self.output:
            raise ValueError(f"{made!r} has one value, no output `{self.output}`")
        if made.inputs and self.source is not None:
            raise ValueError(f"{made!r} takes {', '.join(made.inputs)}, not a source")
        unknown = set(made.inputs) - set(INPUTS)
        if unknown:
            raise ValueError(f"{made!r} takes {' '.join(unknown)}, which klines do not have")


class FeatureSet(BaseModel):
    """Columns in their order, of the klines of one interval.

    >>> base = FeatureSet(name="base", features=[{"return": 1}, {"time_of_day": "sin"}])
    >>> base.columns, base.interval, len(base.definition)
    (('return_1', 'time_of_day_sin'), '1m', 16)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
    interval: Annotated[str, Field(description="Interval of the klines.")] = "1m"
    features: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=512)]
    warmup: Annotated[
        int | None,
        Field(ge=1, description="Klines before the first row; until it converges unless given."),
    ] = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.column for feature in self.features)

    @property
    def definition(self) -> str:
        """Hash of all that the numbers depend on: neither names nor the warm-up."""
        told = [self.interval, [feature.canonical() for feature in self.features]]
        return sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    @field_validator("interval")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return interval(value).name
        except IntervalError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _named_apart(self) -> "FeatureSet":
        twice = [name for name, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise ValueError(f"two columns `{twice[0]}`: give one of them a `name`")
        return self
