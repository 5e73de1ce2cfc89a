"""Settings of the live source."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Endpoint = Literal["binance", "vision", "us", "testnet", "custom"]

ENDPOINTS: dict[str, tuple[str, str]] = {
    "binance": ("wss://stream.binance.com:9443", "https://api.binance.com"),
    # Market data only, reachable from regions where the trading hosts are not. Its REST side
    # lists no historicalTrades, so holes are repaired only with `feed = "aggTrade"`.
    "vision": ("wss://data-stream.binance.vision", "https://data-api.binance.vision"),
    "us": ("wss://stream.binance.us:9443", "https://api.binance.us"),
    "testnet": ("wss://stream.testnet.binance.vision", "https://testnet.binance.vision"),
}
"""WebSocket and REST base addresses (binance-spot-api-docs, web-socket-streams.md, rest-api.md)."""


class BinanceConfig(BaseModel):
    """Where to connect and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: Annotated[
        Endpoint, Field(description="binance, vision (data only), us, testnet, or custom.")
    ] = "binance"
    ws_url: Annotated[str, Field(description="WebSocket base; wins over `endpoint`.")] = ""
    rest_url: Annotated[str, Field(description="REST base; wins over `endpoint`.")] = ""
    feed: Annotated[
        Literal["trade", "aggTrade"], Field(description="Single trades, or aggregates.")
    ] = "trade"
    audit: Annotated[
        bool, Field(description="Compare each closed kline with the exchange's own.")
    ] = True
    shards: Annotated[
        int, Field(ge=1, le=64, description="Connections; fixed for a deployment.")
    ] = 1
    weight_per_minute: Annotated[
        int, Field(ge=100, description="REST weight this address may use per minute.")
    ] = 6000
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

    @property
    def ws(self) -> str:
        """The WebSocket base address in force."""
        return (self.ws_url or ENDPOINTS.get(self.endpoint, ("", ""))[0]).rstrip("/")

    @property
    def rest(self) -> str:
        """The REST base address in force."""
        return (self.rest_url or ENDPOINTS.get(self.endpoint, ("", ""))[1]).rstrip("/")
