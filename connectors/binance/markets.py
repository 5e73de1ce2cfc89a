"""What differs between Binance's markets: addresses, paths and weights."""

from dataclasses import dataclass
from typing import Literal

from core.market.symbols import SPOT, USDM

MarketName = Literal["spot", "usdm"]


@dataclass(frozen=True, slots=True)
class Market:
    """One of Binance's markets.

    Weights are those of rest-api.md (Spot) and of the derivatives documentation (USD-M).

    Attributes:
        exchange: The exchange in our keys.
        prefix: Of REST paths.
        endpoints: (WebSocket base, REST base) by name. USD-M routes market data by ``/market``; any
            other route acknowledges these streams and never sends.
        weight_per_minute: Of one IP address.
        info_weight: Of ``exchangeInfo``.
        info_by_symbols: Whether ``exchangeInfo`` can be asked for some symbols only.
        aggregates_weight: Of a page of ``aggTrades``.
        trades_weight: Of a page of ``historicalTrades``; None where that needs a key.
        microseconds: Whether times can be had in microseconds.
        second_klines: Whether there are klines of a second; a stream of them would be silent.

    """

    exchange: str
    prefix: str
    endpoints: dict[str, tuple[str, str]]
    weight_per_minute: int
    info_weight: int
    info_by_symbols: bool
    aggregates_weight: int
    trades_weight: int | None
    microseconds: bool
    second_klines: bool
    streams_per_link: int = 1024

    @property
    def has_trades(self) -> bool:
        """Whether single trades can be had, live and of the past."""
        return self.trades_weight is not None


MARKETS: dict[MarketName, Market] = {
    "spot": Market(
        exchange=SPOT,
        prefix="/api/v3",
        endpoints={
            "binance": ("wss://stream.binance.com:9443", "https://api.binance.com"),
            # Market data only, reachable from regions where the trading hosts are not. Its REST
            # side lists no historicalTrades, so holes are repaired only with `feed = "aggTrade"`.
            "vision": ("wss://data-stream.binance.vision", "https://data-api.binance.vision"),
            "us": ("wss://stream.binance.us:9443", "https://api.binance.us"),
            "testnet": ("wss://stream.testnet.binance.vision", "https://testnet.binance.vision"),
        },
        weight_per_minute=6000,
        info_weight=20,
        info_by_symbols=True,
        aggregates_weight=4,
        trades_weight=25,
        microseconds=True,
        second_klines=True,
    ),
    "usdm": Market(
        exchange=USDM,
        prefix="/fapi/v1",
        endpoints={
            "binance": ("wss://fstream.binance.com/market", "https://fapi.binance.com"),
            "testnet": ("wss://fstream.binancefuture.com/market", "https://demo-fapi.binance.com"),
        },
        weight_per_minute=2400,
        info_weight=1,
        info_by_symbols=False,
        aggregates_weight=20,
        trades_weight=None,
        microseconds=False,
        second_klines=False,
    ),
}
