"""Symbols, strategies and instances, and what is commanded of them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from client.models import Model

Outcome = Literal["applied", "partly", "accepted"]
"""``partly``: refused by some; ``accepted``: it was sent, not all have answered yet."""


class Result(Model):
    """What became of a command, for one of its subjects."""

    subject: Annotated[str, Field(description="A symbol, or an instrument.")]
    state: Annotated[
        str, Field(description="applied, accepted, refused; of instances running, paused, …")
    ]
    reason: Annotated[str, Field(description="How; why it was refused.")] = ""


class Symbol(Model):
    """A symbol that a flow follows."""

    symbol: str
    key: Annotated[str, Field(description="By which the flow, Redis and the lake name it.")]
    flow: str
    last_id: Annotated[int | None, Field(description="Of the newest trade.")] = None
    last_time: str | None = None
    known_until: Annotated[str | None, Field(description="Nothing is missing before it.")] = None
    lag_s: float | None = None
    gaps_open: int = 0


class Listing(Model):
    """A symbol that the exchange lists."""

    symbol: str
    status: str
    base: str = ""
    quote: str = ""
    followed: bool = False


class SymbolsAnswer(Model):
    """What became of a command about symbols."""

    command: str
    outcome: Annotated[
        Outcome, Field(description="partly: some were refused; accepted: not all have answered.")
    ]
    results: list[Result]


class StrategyKind(Model):
    """A strategy that there is."""

    name: str
    version: str | int
    about: str
    origin: str
    parameters: Annotated[dict[str, Any], Field(description="JSON schema of its parameters.")]
    legs: tuple[str, ...] = ()


class Spec(BaseModel):
    """What an instance runs, on what, with which parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=64, description="Of the strategy.")]
    interval: Annotated[str, Field(description="Of the klines that it sees.")] = "1m"
    symbols: Annotated[
        tuple[str, ...], Field(min_length=1, max_length=1024, description="* is every one.")
    ] = ("*",)
    params: Annotated[dict[str, Any], Field(description="Those that differ from defaults.")] = {}
    legs: Annotated[dict[str, str], Field(description="Further symbols, by leg.")] = {}


class NewInstance(Spec):
    """An instance that is to run."""

    instance: Annotated[
        str, Field(max_length=64, description="Its name; the strategy's unless given.")
    ] = ""


class Change(BaseModel):
    """Parameters that are to be others from now on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    params: dict[str, Any] = {}


class OnSymbol(Model):
    """How an instance is on one symbol."""

    key: str
    state: Annotated[str, Field(description="running, warming, paused or errored.")]
    fed: Annotated[int, Field(description="Klines seen.")] = 0
    signals: int = 0
    last_us: int = 0
    last_side: str = ""
    decision_us: Annotated[float, Field(description="Mean time per kline.")] = 0.0
    error: str = ""
    params: Annotated[
        dict[str, Any], Field(default_factory=dict, description="In force, defaults included.")
    ]


class Instance(Model):
    """An instance of a strategy."""

    instance: str
    flow: str
    version: Annotated[str, Field(description="Changes with each command that changes it.")]
    state: Annotated[str, Field(description="What is wanted: running or paused.")]
    configured: Annotated[bool, Field(description="Whether the settings have it.")]
    spec: Spec
    symbols: tuple[OnSymbol, ...] = ()


class InstanceAnswer(Model):
    """What became of a command about an instance."""

    command: str
    outcome: Outcome
    results: list[Result]
    instance: Instance | None = None


class SymbolsChange(BaseModel):
    """Symbols that are to be followed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: Annotated[
        tuple[Annotated[str, Field(min_length=2, max_length=40)], ...],
        Field(min_length=1, max_length=1024, examples=[["BTCUSDT", "ETHUSDT"]]),
    ]


class Session(Model):
    """Who calls."""

    name: str
    scopes: list[str]
    token_needed: bool


class AuditEntry(Model):
    """A command that somebody gave."""

    id: str
    time: str
    caller: str
    action: str
    subject: str
    command: str
    outcome: str
    detail: str = ""


class Page(Model):
    """A list."""

    items: list[Any]
    next: str | None = None
