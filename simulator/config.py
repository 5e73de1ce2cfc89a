"""Settings of the simulated exchange: what trades there, how fast time runs, what goes wrong."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from simulator.faults import Fault, read_fault

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""Where a market begins when nobody says: a Monday noon."""

Places = Annotated[Decimal, Field(gt=0, decimal_places=8, max_digits=20)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SymbolSettings(_Settings):
    """One made-up symbol. Prices stay around `price`, so its waves can be known in advance."""

    symbol: Annotated[str, Field(pattern=r"""^[^a-z\s@/"\\]{2,40}$""")]
    base: str
    quote: str
    price: Annotated[Places, Field(description="Where the price starts and stays around.")]
    tick: Annotated[Places, Field(description="Grid of prices.")] = Decimal("0.01")
    step: Annotated[Places, Field(description="Grid of quantities.")] = Decimal("0.001")
    rate: Annotated[float, Field(gt=0, le=200_000, description="Trades per second, mean.")] = 1.0
    burst: Annotated[float, Field(ge=0, le=1, description="Share of orders of 50-700 fills.")] = 0.0
    notional: Annotated[Decimal, Field(gt=0, description="Mean quote value of a trade.")] = Decimal(
        500
    )
    first_id: Annotated[int, Field(ge=0, description="Id of its first trade.")] = 1
    first_aggregate_id: Annotated[int, Field(ge=0, description="Id of its first aggregate.")] = 1

    @model_validator(mode="after")
    def _on_the_grid(self) -> "SymbolSettings":
        if self.price % self.tick or self.price / self.tick < 100:
            raise ValueError(f"price {self.price} is no multiple of 100 or more ticks {self.tick}")
        return self


class RecordedSettings(_Settings):
    """Recorded trades of one symbol: a Binance `trades` csv or zip, or Parquet of the lake."""

    path: Annotated[Path, Field(description="A file, or a folder of part-*.parquet.")]
    symbol: Annotated[str, Field(description="Empty: taken from the path.")] = ""


SYMBOLS = (
    SymbolSettings(
        symbol="BTCUSDT", base="BTC", quote="USDT", price=Decimal(64250), step=Decimal("0.00001"),
        rate=30, burst=0.001, first_id=5_225_367_649, first_aggregate_id=3_678_401_122,
    ),
    SymbolSettings(
        symbol="ETHUSDT", base="ETH", quote="USDT", price=Decimal(3480), step=Decimal("0.0001"),
        rate=12, burst=0.0005, first_id=2_780_114_903, first_aggregate_id=2_011_934_417,
    ),
    SymbolSettings(
        symbol="SOLUSDT", base="SOL", quote="USDT", price=Decimal(148), rate=6,
        first_id=1_502_733_218, first_aggregate_id=977_120_654,
    ),
    SymbolSettings(
        symbol="BNBUSDT", base="BNB", quote="USDT", price=Decimal(590), rate=2,
        first_id=1_160_902_341, first_aggregate_id=741_338_905,
    ),
    SymbolSettings(
        symbol="DOGEBTC", base="DOGE", quote="BTC", price=Decimal("0.0000023"),
        tick=Decimal("0.00000001"), step=Decimal(1), rate=0.01, notional=Decimal("0.002"),
        first_id=60_118_207, first_aggregate_id=49_801_336,
    ),
)  # fmt: skip
"""A busy one, three of middling trade, and one almost silent at a price of eight places."""


class MarketSettings(_Settings):
    """What trades. Recorded trades, where given, take the place of the made-up symbols."""

    product: Annotated[
        Literal["spot", "usdm"], Field(description="Binance Spot, or its USD-M futures.")
    ] = "spot"
    seed: Annotated[int, Field(ge=0, lt=2**32, description="Another seed, another market.")] = 1
    start: Annotated[
        datetime | Literal["now"] | None,
        Field(description="Exchange time at which the simulation starts; now: this minute."),
    ] = None
    history: Annotated[
        float, Field(ge=0, description="Seconds of made-up trades before the start.")
    ] = 1800.0
    symbols: tuple[SymbolSettings, ...] = SYMBOLS
    bookkeeping: Annotated[
        float, Field(ge=0, le=1, description="Share of orders that bring a trade of price 0.")
    ] = 0.0
    unpublished: Annotated[
        float,
        Field(
            ge=0, lt=1, description="Share of fills that have ids and are never shown; usdm only."
        ),
    ] = 0.005
    recorded: tuple[RecordedSettings, ...] = ()


Limit = Annotated[
    int | None, Field(gt=0), BeforeValidator(lambda value: None if value == "none" else value)
]
"""TOML has no null: ``"none"`` means it."""


class LimitSettings(_Settings):
    """Where the exchange refuses; None (``"none"`` in a file) switches a limit off."""

    weight: Annotated[Limit, Field(description="REST weight per minute.")] = 6000
    ban_after: Annotated[int, Field(gt=0, description="Answers 429 in a minute before 418.")] = 20
    ban: Annotated[float, Field(gt=0, description="First ban, seconds of exchange time.")] = 120.0
    messages: Annotated[Limit, Field(description="Incoming frames per second and connection.")] = 5
    streams: Annotated[int, Field(gt=0, description="Streams per connection.")] = 1024
    connections: Annotated[Limit, Field(description="Connection attempts in five minutes.")] = 300


USDM_DEFAULTS: Final[dict[str, Any]] = {
    "limits": {"weight": 2400, "messages": 10},
    "ping_interval": 180.0,
    "pong_timeout": 600.0,
}
"""What USD-M has instead of Spot's, where the settings do not say."""


class SimulatorSettings(_Settings):
    """The whole simulated exchange."""

    market: MarketSettings = MarketSettings()
    limits: LimitSettings = LimitSettings()
    faults: tuple[Annotated[Fault, BeforeValidator(read_fault)], ...] = ()
    speed: Annotated[float, Field(gt=0, description="Exchange seconds per second.")] = 1.0
    klines: Annotated[
        Literal["timer", "next_trade", "late_timer_2s"],
        Field(description="When kline frames go out; Binance has done all three."),
    ] = "timer"
    rest_lag: Annotated[
        float, Field(ge=0, description="Seconds that history, aggregates and klines lag by REST.")
    ] = 0.0
    errors: Annotated[
        Literal["nested", "flat"], Field(description="Shape of errors: on the wire, or documented.")
    ] = "nested"
    ping_interval: Annotated[float, Field(gt=0, description="Seconds between pings.")] = 20.0
    pong_timeout: Annotated[float, Field(gt=0, description="Seconds to wait for a pong.")] = 60.0
    lifetime: Annotated[
        float, Field(gt=0, description="Seconds of exchange time until a connection is closed.")
    ] = 86_400.0
    poll: Annotated[float, Field(gt=0, description="Seconds between looks at the market.")] = 0.005
    buffer: Annotated[int, Field(gt=0, description="Bytes that wait for a slow reader.")] = 8 << 20
    overflow: Annotated[
        Literal["disconnect", "wait"], Field(description="What happens when they are more.")
    ] = "disconnect"

    @model_validator(mode="before")
    @classmethod
    def _of_the_product(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user gave
        market = data.get("market") if isinstance(data, dict) else None
        given = market.get("product") if isinstance(market, dict) else getattr(market, "product", 0)
        if given != "usdm":
            return data
        limits = data.get("limits", {})
        if isinstance(limits, dict):
            limits = USDM_DEFAULTS["limits"] | limits
        return USDM_DEFAULTS | data | {"limits": limits}
