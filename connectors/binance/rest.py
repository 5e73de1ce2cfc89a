"""Binance's public REST, as far as a source needs it: answers as text, limits obeyed."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from connectors.binance.config import BinanceConfig
from core.exchange.limiter import WeightBudget
from core.exchange.wire import to_us
from core.market.decimals import parse
from core.market.errors import ConfigError, DecimalError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger("cryptotools.binance")

# rest-api.md: weights of each endpoint.
_TRADES_WEIGHT = 25
_AGGREGATES_WEIGHT = 4
_TIME_WEIGHT = 1
_INFO_WEIGHT = 20


class RestError(Exception):
    """An answer other than 200, or none; the text says which."""


async def check_symbols(config: BinanceConfig, symbols: tuple[str, ...]) -> None:
    """Ask the exchange whether it has the symbols; one that cannot be asked is asked later.

    Raises:
        ConfigError: A symbol that the exchange does not have.

    """
    rest = Rest(config, clock=time.monotonic)
    try:
        await rest.info(symbols)
    except RestError as error:
        LOG.info("symbols are not checked: %s", error)
    finally:
        await rest.close()


class Rest:
    """One HTTP client with one weight budget. All times in answers are microseconds."""

    def __init__(self, config: BinanceConfig, *, clock: "Callable[[], float]") -> None:
        self._config = config
        self._clock = clock
        self._budget = WeightBudget(limit=config.weight_per_minute)
        self._client = httpx.AsyncClient(
            base_url=config.rest,
            timeout=config.rest_timeout,
            headers={"X-MBX-TIME-UNIT": "MICROSECOND"},
        )

    async def trades(self, symbol: str, from_id: int, limit: int) -> str:
        """Return a page of trades (or aggregates) from an id on, as JSON text."""
        params = {"symbol": symbol, "fromId": from_id, "limit": limit}
        if self._config.feed == "aggTrade":
            return await self._get("/api/v3/aggTrades", params, _AGGREGATES_WEIGHT)
        return await self._get("/api/v3/historicalTrades", params, _TRADES_WEIGHT)

    async def newest(self, symbol: str) -> str:
        """Return a page that holds the newest trade (or aggregate)."""
        params = {"symbol": symbol, "limit": 1}
        if self._config.feed == "aggTrade":
            return await self._get("/api/v3/aggTrades", params, _AGGREGATES_WEIGHT)
        # `trades` is served from memory: it does not lag as `historicalTrades` may.
        return await self._get("/api/v3/trades", params, _TRADES_WEIGHT)

    async def time(self) -> str:
        """Return ``{"serverTime": …}``."""
        return await self._get("/api/v3/time", {}, _TIME_WEIGHT)

    async def info(self, symbols: tuple[str, ...]) -> tuple[dict[str, tuple[int, int]], int]:
        """Return decimal places of price and quantity by symbol, and the exchange's time in us.

        Raises:
            ConfigError: A symbol that the exchange does not have.

        """
        found: dict[str, tuple[int, int]] = {}
        server_us = 0
        for start in range(0, len(symbols), 100):
            part = symbols[start : start + 100]
            names = orjson.dumps(list(part)).decode()
            try:
                text = await self._get("/api/v3/exchangeInfo", {"symbols": names}, _INFO_WEIGHT)
            except RestError as error:
                if "-1121" in str(error) or "-1100" in str(error):
                    raise await self._unknown(part) from None
                raise
            body = orjson.loads(text)
            server_us = to_us(int(body["serverTime"]))
            for row in body["symbols"]:
                found[row["symbol"]] = _scales(row)
        return found, server_us

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _unknown(self, symbols: tuple[str, ...]) -> ConfigError:
        for symbol in symbols:
            try:
                await self._get("/api/v3/exchangeInfo", {"symbol": symbol}, _INFO_WEIGHT)
            except RestError:
                return ConfigError(
                    "symbols",
                    f"{self._config.rest} has no symbol `{symbol}`",
                    hint="symbols are written as the exchange does, such as BTCUSDT",
                )
        return ConfigError("symbols", f"{self._config.rest} refused {' '.join(symbols)}")

    async def _get(self, path: str, params: dict[str, Any], weight: int) -> str:
        while (delay := self._budget.delay(weight, self._clock())) > 0:
            LOG.info("rest budget is used up: waiting %.1f s", delay)
            await asyncio.sleep(delay)
        try:
            answer = await self._client.get(path, params=params)
        except httpx.HTTPError as error:
            raise RestError(f"{type(error).__name__}: {error}") from error
        used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if used.isdigit():
            self._budget.observed(int(used), self._clock())
        if answer.status_code in {418, 429}:
            pause = float(answer.headers.get("Retry-After", "60"))
            LOG.warning("%s: HTTP %s, obeying %g s", path, answer.status_code, pause)
            self._budget.punished(pause, self._clock())
        if answer.status_code != httpx.codes.OK:
            raise RestError(f"HTTP {answer.status_code}: {answer.text[:200]}")
        return answer.text


def _scales(row: dict[str, Any]) -> tuple[int, int]:
    filters = {f.get("filterType"): f for f in row.get("filters", [])}
    try:
        price = parse(filters.get("PRICE_FILTER", {}).get("tickSize", "0"))[1]
        quantity = parse(filters.get("LOT_SIZE", {}).get("stepSize", "0"))[1]
    except DecimalError as error:
        raise ServiceError("exchangeInfo", f"{row.get('symbol')}: {error}") from None
    return price, quantity
