"""One configured instance of a strategy: what to run, on what, with which parameters."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.market.errors import IntervalError, SymbolError
from core.market.intervals import interval
from core.market.symbols import Instrument

EVERY = "*"


class InstanceSpec(BaseModel):
    """A strategy by name, and the klines that it sees.

    >>> spec = InstanceSpec(name="rsi_reversal", symbols=["btcusdt"])
    >>> spec.instance, spec.interval, spec.applies_to("binance:BTCUSDT")
    ('rsi_reversal', '1m', True)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, description="Registered name of the strategy.")]
    instance: Annotated[
        str, Field(description="Name of this instance; the strategy's own unless given.")
    ] = Field(default_factory=lambda given: str(given.get("name", "")))
    interval: Annotated[str, Field(description="Interval of the klines that it sees.")] = "1m"
    symbols: Annotated[
        tuple[str, ...], Field(min_length=1, description="Symbols it runs on; `*` is every one.")
    ] = (EVERY,)
    params: Annotated[
        dict[str, Any], Field(description="Parameters that differ from the defaults.")
    ] = {}

    @field_validator("instance")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value or value != value.strip():
            raise ValueError("expected a name without blanks around it")
        return value

    @field_validator("interval")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return interval(value).name
        except IntervalError as error:
            raise ValueError(str(error)) from None

    @field_validator("symbols")
    @classmethod
    def _spelled(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(s if s == EVERY else Instrument.of(s).symbol for s in value)
        except SymbolError as error:
            raise ValueError(str(error)) from None

    def applies_to(self, key: str) -> bool:
        """Say whether it runs on the instrument of that key."""
        return EVERY in self.symbols or Instrument.from_key(key).symbol in self.symbols


class Wanted(BaseModel):
    """What a command wants an instance to be: all of it, so that obeying twice is obeying once.

    Attributes:
        command: Id of the command; empty: the settings themselves.
        spec: Its strategy, klines and parameters.
        state: ``paused``: it goes on watching and says nothing.
        configured: What the settings said of it when the command came; None: nothing.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str = ""
    spec: InstanceSpec
    state: Literal["running", "paused", "removed"] = "running"
    configured: InstanceSpec | None = None


def specs_for(key: str, specs: Iterable[InstanceSpec]) -> tuple[InstanceSpec, ...]:
    """Return those that run on the instrument of that key, in the order given."""
    return tuple(spec for spec in specs if spec.applies_to(key))
