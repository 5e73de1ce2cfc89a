"""Settings of the live source."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.binance.markets import MARKETS, Market, MarketName

Endpoint = Literal["binance", "vision", "us", "testnet", "custom"]


class BinanceConfig(BaseModel):
    """Where to connect and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    market: Annotated[MarketName, Field(description="spot, or usdm: USD-M futures.")] = "spot"
    endpoint: Annotated[
        Endpoint, Field(description="binance, vision (data only), us, testnet, or custom.")
    ] = "binance"
    ws_url: Annotated[str, Field(description="WebSocket base; wins over `endpoint`.")] = ""
    rest_url: Annotated[str, Field(description="REST base; wins over `endpoint`.")] = ""
    feed: Annotated[
        Literal["trade", "aggTrade"],
        Field(description="Single trades, or aggregates; usdm has aggregates only."),
    ] = "trade"
    audit: Annotated[
        bool, Field(description="Compare each closed kline with the exchange's own.")
    ] = True
    shards: Annotated[
        int, Field(ge=1, le=64, description="Connections; fixed for a deployment.")
    ] = 1
    weight_per_minute: Annotated[
        int,
        Field(
            ge=0,
            description="REST weight this address may use per minute; 0: what the market allows.",
        ),
    ] = 0
    rotate_hours: Annotated[
        float,
        Field(ge=0, le=23.9, description="Age at which a link is replaced; 0: never."),
    ] = 23.0
    ping_seconds: Annotated[
        float, Field(gt=0, description="Own ping, and the deadline of its answer.")
    ] = 10.0
    backoff_base: Annotated[float, Field(gt=0, description="First delay ceiling, seconds.")] = 0.5
    backoff_cap: Annotated[float, Field(gt=0, description="Highest delay, seconds.")] = 30.0
    backoff_stable: Annotated[
        float, Field(gt=0, description="A link that lasted this long is forgiven, seconds.")
    ] = 60.0
    max_pending_rows: Annotated[
        int, Field(ge=1000, description="Rows that may wait for the flow before reading stops.")
    ] = 200_000
    connect_timeout: Annotated[float, Field(gt=0)] = 10.0
    rest_timeout: Annotated[float, Field(gt=0)] = 10.0

    @model_validator(mode="before")
    @classmethod
    def _feed_of_the_market(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user gave
        if isinstance(data, dict) and data.get("market") == "usdm":
            return {"feed": "aggTrade"} | data
        return data

    @model_validator(mode="after")
    def _fits_the_market(self) -> Self:
        if self.feed == "trade" and not self.place.has_trades:
            raise ValueError("usdm gives no single trades; leave `feed` out, or set it to aggTrade")
        known = {*self.place.endpoints, "custom"}
        if self.endpoint not in known and not (self.ws_url and self.rest_url):
            names = " ".join(sorted(known))
            raise ValueError(f"{self.market} has no endpoint `{self.endpoint}`; there are {names}")
        return self

    @property
    def place(self) -> Market:
        """The market's paths and weights."""
        return MARKETS[self.market]

    @property
    def ws(self) -> str:
        """The WebSocket base address in force."""
        return (self.ws_url or self.place.endpoints.get(self.endpoint, ("", ""))[0]).rstrip("/")

    @property
    def stream_url(self) -> str:
        """Where a connection is opened."""
        return f"{self.ws}/stream{'?timeUnit=MICROSECOND' * self.place.microseconds}"

    def audited(self, base: str) -> tuple[str, ...]:
        """Return the intervals whose klines the exchange is asked for, to compare ours with."""
        known = base != "1s" or self.place.second_klines
        return (base,) if self.audit and known else ()

    @property
    def rest(self) -> str:
        """The REST base address in force."""
        return (self.rest_url or self.place.endpoints.get(self.endpoint, ("", ""))[1]).rstrip("/")
