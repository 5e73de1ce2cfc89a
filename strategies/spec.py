"""One configured instance of a strategy: what to run, on what, with which parameters."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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
    legs: Annotated[
        dict[str, str], Field(description="Further symbols it looks at, by the strategy's names.")
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

    @field_validator("legs")
    @classmethod
    def _legs_spelled(cls, value: dict[str, str]) -> dict[str, str]:
        try:
            return {leg: Instrument.of(symbol).symbol for leg, symbol in value.items()}
        except SymbolError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _one_with_legs(self) -> "InstanceSpec":
        if self.legs and (len(self.symbols) != 1 or EVERY in self.symbols):
            raise ValueError("one that has `legs` runs on one symbol: give one in `symbols`")
        if len({*self.legs.values(), *self.symbols}) < len(self.legs) + len(self.symbols):
            raise ValueError("`legs` and `symbols` name the same symbol twice")
        return self

    @property
    def watched(self) -> tuple[str, ...]:
        """The symbols whose klines it sees, its own first."""
        return (*self.symbols, *self.legs.values())

    def sees(self, key: str) -> bool:
        """Say whether it runs on the instrument of that key or looks at it."""
        return self.applies_to(key) or Instrument.from_key(key).symbol in self.legs.values()

    def leg_of(self, key: str) -> str:
        """Return its own name for the instrument of that key; empty: the one it runs on."""
        symbol = Instrument.from_key(key).symbol
        return next((leg for leg, one in self.legs.items() if one == symbol), "")

    def applies_to(self, key: str) -> bool:
        """Say whether it runs on the instrument of that key."""
        return EVERY in self.symbols or Instrument.from_key(key).symbol in self.symbols


class Wanted(BaseModel):
    """What a command wants an instance to be: all of it, so that obeying twice is obeying once.

    Attributes:
        command: Id of the command; empty: the settings themselves.
        spec: Its strategy, klines and parameters.
        state: ``paused``: it goes on watching and says nothing.
        stopped: With ``removed``: it is kept in mind, to be started again.
        configured: What the settings said of it when the command came; None: nothing.
        code: What the strategy's file was when the command came; empty for a built-in one.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str = ""
    spec: InstanceSpec
    state: Literal["running", "paused", "removed"] = "running"
    stopped: bool = False
    configured: InstanceSpec | None = None
    code: str = ""


def basket_key(key: str, spec: InstanceSpec) -> str:
    """Return the key under which an instance with legs speaks, given that of any of its symbols.

    >>> spec = InstanceSpec(name="pair", symbols=["ethusdt"], legs={"btc": "btcusdt"})
    >>> basket_key("binance:BTCUSDT", spec)
    'binance:ETHUSDT+BTCUSDT~pair'
    """
    return f"{Instrument.from_key(key).exchange}:{basket_symbol(spec)}"


def basket_symbol(spec: InstanceSpec) -> str:
    """Return what stands in place of a symbol in that key."""
    return f"{'+'.join((*spec.symbols, *spec.legs.values()))}~{spec.instance}"
