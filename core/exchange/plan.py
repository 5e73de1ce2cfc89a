"""What a session is to do: which symbols, from where on. The first thing a recording holds."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scales = tuple[Annotated[int, Field(ge=0, le=9)], Annotated[int, Field(ge=0, le=9)]]


EVERY = "*"


class Standing(BaseModel):
    """A message that symbols are told, also those that come later.

    Attributes:
        symbols: Whom it concerns; ``*``: all.
        payload: JSON text (`core.market.events.Told`).
        klines: By interval, how many of the exchange's klines go with it.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[str, ...] = (EVERY,)
    payload: str
    klines: dict[str, int] = {}

    def concerns(self, symbol: str) -> bool:
        """Say whether a symbol is to be told."""
        return EVERY in self.symbols or symbol in self.symbols


@dataclass(frozen=True, slots=True)
class Tell:
    """A message for symbols.

    Attributes:
        name: What it is about; a later one of that name takes its place.
        message: The message.
        lasting: Whether symbols that come later are told as well.

    """

    name: str
    message: Standing
    lasting: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name, "message": self.message.model_dump(), "lasting": self.lasting,
        }  # fmt: skip


class Plan(BaseModel):
    """Everything a session knows at its start; with its inputs it determines its outputs.

    Attributes:
        exchange: ``binance`` or ``binance-usdm``.
        shard: Number of the partition.
        symbols: The exchange's spelling, upper case.
        feed: ``trade``, or ``aggTrade`` where an exchange gives only aggregates.
        audit: Intervals of the exchange's own klines to compare ours with.
        next_ids: By symbol, the id that is to come next; a symbol without one starts anywhere.
        scales: By symbol, decimal places of price and quantity (from tickSize and stepSize).
        clock_us: The exchange's time when the plan was made; 0 where nobody could be asked.
        repairs: Whether holes can be asked for; a capture of others has nobody to ask.
        rotate_us: Age at which a link is replaced; 0: never. Binance cuts at 24 h.
        statuses: By symbol, its trading status as last known; TRADING where there is none.
        standing: By name, what symbols are told at their start and when it is commanded.
        any_symbol: Take whatever symbols come (captures); else unknown ones are quarantined.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exchange: str = "binance"
    shard: Annotated[int, Field(ge=0)] = 0
    symbols: tuple[str, ...] = ()
    feed: Literal["trade", "aggTrade"] = "trade"
    audit: tuple[str, ...] = ()
    next_ids: dict[str, int] = {}
    scales: dict[str, Scales] = {}
    clock_us: Annotated[int, Field(ge=0)] = 0
    repairs: bool = True
    any_symbol: bool = False
    rotate_us: Annotated[int, Field(ge=0)] = 0
    statuses: dict[str, str] = {}
    standing: dict[str, Standing] = {}

    @property
    def key(self) -> str:
        """The key of what concerns the whole connection."""
        return f"{self.exchange}:shard-{self.shard}"

    def streams(self, symbols: tuple[str, ...] | None = None) -> list[str]:
        """Return the stream names to subscribe; Binance takes them in lower case only."""
        kinds = [self.feed, *(f"kline_{name}" for name in self.audit)]
        chosen = self.symbols if symbols is None else symbols
        return [f"{symbol.lower()}@{kind}" for symbol in chosen for kind in kinds]

    def stream(self, symbol: str) -> str:
        """Return the name of the stream of a symbol's trades."""
        return f"{symbol.lower()}@{self.feed}"
