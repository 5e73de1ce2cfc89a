"""All settings as one frozen tree: defaults < ``cryptotools.toml`` < ``.env`` < environment.

A variable is named as the path to its setting: ``CRYPTOTOOLS_BINANCE__ENDPOINT=vision``. Lists are
separated by commas, tables written as JSON. `REDIS_URL` is read too, because everybody sets it.
A key that does not exist is an error that names the nearest one that does.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from config.api import ApiConfig
from config.notify import NotifyConfig
from config.recovery import RecoveryConfig, SupervisorConfig
from config.telemetry import MetricsConfig, TracesConfig
from connectors.binance.config import BinanceConfig
from connectors.parquet.config import LakeConfig
from connectors.redis.config import RedisConfig
from core.market.errors import ConfigError, IntervalError
from core.market.intervals import Interval, interval
from core.market.symbols import Instrument
from core.paper.config import PaperConfig
from strategies.ml.config import MlConfig
from strategies.spec import InstanceSpec

PREFIX = "CRYPTOTOOLS_"
FILE = "cryptotools.toml"

_EVERY = (
    InstanceSpec(name="rsi_reversal"),
    InstanceSpec(name="macd_cross"),
    InstanceSpec(name="bollinger_breakout"),
)


class KlinesConfig(BaseModel):
    """How klines are built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Annotated[
        Literal["1s", "1m"], Field(description="Built from trades; all others are folded from it.")
    ] = "1m"
    intervals: Annotated[
        tuple[str, ...], NoDecode, Field(description="Intervals to publish, the base included.")
    ] = ("1m", "5m", "1h")
    grace_ms: Annotated[
        int, Field(ge=0, le=60_000, description="How long a tick must be past a window's end.")
    ] = 1000
    empty: Annotated[
        Literal["carry", "skip"], Field(description="Windows without trades: flat klines, or none.")
    ] = "carry"
    forming_ms: Annotated[
        int, Field(ge=0, description="Data time between forming klines in Redis; 0: none.")
    ] = 250

    @field_validator("intervals", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _listed(value)

    @field_validator("intervals")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            found = sorted((interval(name) for name in set(value)), key=_length)
        except IntervalError as error:
            raise ValueError(str(error)) from None
        return tuple(i.name for i in found)

    @model_validator(mode="after")
    def _fits(self) -> "KlinesConfig":
        base = interval(self.base)
        for name in self.intervals:
            if not interval(name).holds(base):
                raise ValueError(f"`{name}` cannot be folded from klines of {self.base}")
        return self


class RecordingConfig(BaseModel):
    """Whether and where raw inputs are recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[Path, Field(description="Folder of raw recordings.")] = Path("recordings")
    enabled: Annotated[bool, Field(description="Record what a live source receives.")] = True


class LogConfig(BaseModel):
    """What is logged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = "info"
    json_lines: Annotated[bool, Field(description="One JSON object per line.")] = False


class Settings(BaseSettings):
    """Everything that can be set. `load` makes one."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__"
    )

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][\w.-]{0,62}$", description="Of the flow, among others on the "
              "same Redis."),
    ] = "main"  # fmt: skip
    symbols: Annotated[
        tuple[str, ...], NoDecode, Field(min_length=1, description="Symbols to follow.")
    ] = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    klines: KlinesConfig = KlinesConfig()
    strategies: Annotated[
        tuple[InstanceSpec, ...], Field(description="Strategy instances to run.")
    ] = _EVERY
    strategies_dir: Annotated[
        Path | None, Field(description="Folder with strategies of your own, one file each.")
    ] = None
    paper: PaperConfig = PaperConfig()
    ml: MlConfig = MlConfig()
    binance: BinanceConfig = BinanceConfig()
    redis: RedisConfig = RedisConfig()
    lake: LakeConfig = LakeConfig()
    recording: RecordingConfig = RecordingConfig()
    state_dir: Annotated[
        Path, Field(description="Folder of the embedded Redis and of recovery.")
    ] = Path("state")
    recovery: RecoveryConfig = RecoveryConfig()
    supervisor: SupervisorConfig = SupervisorConfig()
    api: ApiConfig = ApiConfig()
    notify: NotifyConfig = NotifyConfig()
    log: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()
    traces: TracesConfig = TracesConfig()

    @property
    def recovery_store(self) -> Path | None:
        """Where snapshots are kept; None where recovery is switched off."""
        own = self.recovery
        return (own.path or self.state_dir / "recovery") if own.enabled else None

    @field_validator("symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _listed(value)

    @field_validator("symbols")
    @classmethod
    def _spelled(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(Instrument.of(symbol).symbol for symbol in value))

    @model_validator(mode="after")
    def _run_on_what_is_built(self) -> "Settings":
        # Those that nobody chose run on 1m, or on the shortest there is.
        built = self.klines.intervals
        if "strategies" not in self.model_fields_set and built and "1m" not in built:
            moved = (spec.model_copy(update={"interval": built[0]}) for spec in self.strategies)
            object.__setattr__(self, "strategies", tuple(moved))
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load` only, which has merged them in order."""
        return (init_settings,)


def load(
    file: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Return the settings in force.

    Args:
        file: The TOML file; without one, ``cryptotools.toml`` here, if it exists.
        env: The environment; the process's own by default.
        dotenv: A file of further variables; those of the environment win.
        overrides: What the command line says, as a tree; wins over all.

    Raises:
        ConfigError: A key or value that cannot be, with the way out.

    """
    variables = _variables(os.environ if env is None else env, dotenv)
    tree = _merge(_toml(file), _from_variables(variables))
    tree = _merge(tree, dict(overrides or {}))
    try:
        return Settings(**tree)
    except ValidationError as error:
        raise _explain(error) from None


def load_saved(file: Path) -> Settings:
    """Return the settings that another process saved as JSON: those, and nothing else.

    Raises:
        ConfigError: The file cannot be read, or is not of this version.

    """
    try:
        return Settings(**orjson.loads(file.read_bytes()))
    except OSError as error:
        raise ConfigError(str(file), f"cannot be read ({error.strerror})") from None
    except orjson.JSONDecodeError as error:
        raise ConfigError(str(file), f"is not JSON: {error}") from None
    except ValidationError as error:
        raise _explain(error) from None


def _toml(file: Path | None) -> dict[str, Any]:
    path = file or Path(FILE)
    if file is None and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is not TOML: {error}") from None


def _variables(env: Mapping[str, str], dotenv: Path | None) -> dict[str, str]:
    found: dict[str, str] = {}
    if dotenv is not None and dotenv.is_file():
        found = {k: v for k, v in dotenv_values(dotenv).items() if v is not None}
    found |= env
    ours = {k: v for k, v in found.items() if k.upper().startswith(PREFIX)}
    if found.get("REDIS_URL"):
        ours.setdefault(f"{PREFIX}REDIS__URL", found["REDIS_URL"])
    return ours


def _from_variables(variables: dict[str, str]) -> dict[str, Any]:
    for name in variables:
        top = name[len(PREFIX) :].lower().partition("__")[0]
        if top not in Settings.model_fields:
            raise _unknown((top,), Settings, name)
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in variables.items()}
    try:
        return source()
    except ValueError as error:
        raise ConfigError("environment", str(error)) from None


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _explain(error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False)[0]
    where = tuple(first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown(where, Settings, "")
    key = ".".join(map(str, where)) or "settings"
    said = first["msg"].removeprefix("Value error, ")
    value = first["input"]
    # What is wrong in these may be a secret, or hold one.
    open_ = where[:1] != ("notify",) and where != ("api", "token")
    shown = f"`{value}`: " if open_ and isinstance(value, str | int | float | bool) else ""
    return ConfigError(key, f"{shown}{said}")


def _unknown(where: tuple[int | str, ...], model: type[BaseModel], variable: str) -> ConfigError:
    *path, name = where
    for part in path:
        inner = model.model_fields[str(part)].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    near = difflib.get_close_matches(str(name), model.model_fields, 1, 0.5)
    own = ".".join(map(str, [*path, near[0]])) if near else ""
    hint = f"did you mean `{own}`?" if near else f"known are {' '.join(model.model_fields)}"
    return ConfigError(variable or ".".join(map(str, where)), "there is no such setting", hint=hint)


def _listed(value: object) -> object:
    return [v.strip() for v in value.split(",") if v.strip()] if isinstance(value, str) else value


def _length(of: Interval) -> int:
    return of.length_us or 1 << 62  # a month is the longest
