"""Settings of features and models."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.market.errors import SymbolError
from core.market.symbols import Instrument
from strategies.ml.features import FeatureSet
from strategies.ml.labels import Target
from strategies.spec import EVERY

CURRENT = "current"
"""The version that the registry's pointer names when a flow starts."""

NONE = "none"
"""No version: nothing is predicted until one is promoted."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{4,64}$|^current$|^none$")]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OnlineSpec(_Config):
    """A model that learns in the flow from each label as it becomes known."""

    estimator: Annotated[
        Literal["logistic", "tree", "linear"],
        Field(description="logistic and tree give the probability of a rise, linear the return."),
    ] = "logistic"
    horizon: Annotated[int, Field(ge=1, le=10_000, description="Klines ahead.")] = 5
    band: Annotated[float, Field(ge=0, description="Returns up to this size teach nothing.")] = 0.0
    ready: Annotated[int, Field(ge=0, description="Labels until it predicts.")] = 200
    rate: Annotated[float, Field(gt=0, le=1, description="Learning rate; trees have none.")] = 0.01

    @property
    def target(self) -> Target:
        """What it predicts."""
        kind: Literal["up", "return"] = "return" if self.estimator == "linear" else "up"
        return Target(kind=kind, horizon=self.horizon, band=self.band if kind == "up" else 0.0)


class ModelSpec(_Config):
    """A model by name: what it sees, and which versions of it speak."""

    name: Annotated[Name, Field(description="Its name, in the registry too.")]
    features: Annotated[str, Field(description="Name of the set of features that it sees.")]
    version: Annotated[
        Version, Field(description="current: as the registry says at the start; none; or one.")
    ] = CURRENT
    shadows: Annotated[
        tuple[Version, ...], Field(max_length=8, description="Versions that are only scored.")
    ] = ()
    online: Annotated[
        OnlineSpec | None, Field(description="It learns in the flow instead of being loaded.")
    ] = None
    symbols: Annotated[
        tuple[str, ...], Field(min_length=1, description="Symbols it runs on; `*` is every one.")
    ] = (EVERY,)

    @field_validator("symbols")
    @classmethod
    def _spelled(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(s if s == EVERY else Instrument.of(s).symbol for s in value)
        except SymbolError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _is_one(self) -> "ModelSpec":
        if self.online is not None and (self.version != CURRENT or self.shadows):
            raise ValueError("a model that learns in the flow has no versions")
        return self

    def applies_to(self, key: str) -> bool:
        """Say whether it runs on the instrument of that key."""
        return EVERY in self.symbols or Instrument.from_key(key).symbol in self.symbols


class ScoresConfig(_Config):
    """How models are judged while they run."""

    window: Annotated[
        int, Field(ge=10, le=100_000, description="Predictions and rows that count.")
    ] = 500
    every: Annotated[int, Field(ge=1, description="Klines between two scores.")] = 60


class MlConfig(_Config):
    """Sets of features, and models that see them. Sets alone need no extra libraries."""

    registry: Annotated[Path, Field(description="Folder of trained models.")] = Path("models")
    features: Annotated[
        tuple[FeatureSet, ...], Field(description="Sets of features to compute and store.")
    ] = ()
    models: Annotated[tuple[ModelSpec, ...], Field(description="Models to run.")] = ()
    scores: ScoresConfig = ScoresConfig()

    @model_validator(mode="after")
    def _fits(self) -> "MlConfig":
        for what in (self.features, self.models):
            twice = [n for n, count in Counter(one.name for one in what).items() if count > 1]
            if twice:
                raise ValueError(f"two are named `{twice[0]}`")
        known = [one.name for one in self.features]
        for model in self.models:
            if model.features not in known:
                there = f"there are {' '.join(known)}" if known else "there are none"
                raise ValueError(
                    f"model `{model.name}` sees features `{model.features}`, but {there}"
                )
        return self

    def set_of(self, name: str) -> FeatureSet | None:
        """Return the set of that name."""
        return next((one for one in self.features if one.name == name), None)
