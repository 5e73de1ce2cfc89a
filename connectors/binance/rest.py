"""Binance's public REST, as far as a source needs it: answers as text, limits obeyed."""

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from connectors.binance.budget import shared
from connectors.binance.config import BinanceConfig
from core.exchange.wire import to_us
from core.market.decimals import parse
from core.market.errors import ConfigError, DecimalError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger("cryptotools.binance")

_NEWEST_WEIGHT = 25
_TIME_WEIGHT = 1
_KLINES_WEIGHT = 10  # of a page on USD-M; on Spot it is 2
_KLINES_PAGE = 1000
_REFUSALS = {403, 418, 429}


class RestError(Exception):
    """An answer other than 200, or none; the text says which."""


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class _Filter(_Answer):
    filter_type: str = ""
    tick_size: str = "0"
    step_size: str = "0"


class _Listing(_Answer):
    symbol: str
    status: str = ""
    base_asset: str = ""
    quote_asset: str = ""
    filters: list[_Filter] = []


class _ExchangeInfo(_Answer):
    server_time: int
    symbols: list[_Listing]


@dataclass(slots=True)
class Info:
    """What the exchange says of symbols: decimal places, trading status, and its own time in us."""

    scales: dict[str, tuple[int, int]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    server_us: int = 0


class Listed(NamedTuple):
    """A symbol that the exchange lists; `status` is TRADING where it can be traded."""

    symbol: str
    status: str
    base: str
    quote: str


async def check_symbols(config: BinanceConfig, symbols: tuple[str, ...]) -> None:
    """Ask the exchange whether it has the symbols; one that cannot be asked is asked later.

    Raises:
        ConfigError: A symbol that the exchange does not have.

    """
    rest = Rest(config, clock=time.time)
    try:
        await rest.info(symbols)
    except RestError as error:
        LOG.info("symbols are not checked: %s", error)
    finally:
        await rest.close()


class Rest:
    """One HTTP client; all of a process share one budget. Times in answers are microseconds."""

    def __init__(self, config: BinanceConfig, *, clock: "Callable[[], float]") -> None:
        self._config, self._market = config, config.place
        self._clock = clock
        self.budget = shared(
            config.rest, config.weight_per_minute or self._market.weight_per_minute
        )
        self._client = httpx.AsyncClient(
            base_url=config.rest + self._market.prefix,
            timeout=config.rest_timeout,
            headers={"X-MBX-TIME-UNIT": "MICROSECOND"} if self._market.microseconds else {},
        )

    async def trades(self, symbol: str, from_id: int, limit: int) -> str:
        """Return a page of trades (or aggregates) from an id on, as JSON text."""
        params = {"symbol": symbol, "fromId": from_id, "limit": limit}
        if self._config.feed == "aggTrade":
            return await self._get("/aggTrades", params, self._market.aggregates_weight)
        return await self._get("/historicalTrades", params, self._market.trades_weight or 0)

    async def newest(self, symbol: str) -> str:
        """Return a page that holds the newest trade (or aggregate)."""
        params = {"symbol": symbol, "limit": 1}
        if self._config.feed == "aggTrade":
            weight = self._market.aggregates_weight
            return await self._get("/aggTrades", params, weight, urgent=False)
        # `trades` is served from memory: it does not lag as `historicalTrades` may.
        return await self._get("/trades", params, _NEWEST_WEIGHT, urgent=False)

    async def since(self, symbol: str, time_ms: int) -> str:
        """Return the first aggregates from a time on (within an hour), as JSON text."""
        # USD-M takes no window of an hour or more.
        params = {
            "symbol": symbol,
            "startTime": time_ms,
            "endTime": time_ms + 3_599_999,
            "limit": 5,
        }
        return await self._get("/aggTrades", params, self._market.aggregates_weight)

    async def klines(self, symbol: str, interval: str, count: int) -> list[list[Any]]:
        """Return the last `count` klines that have ended, as rows of REST, oldest first."""
        now = to_us(int(orjson.loads(await self.time())["serverTime"]))
        rows: list[list[Any]] = []
        params: dict[str, str | int] = {"symbol": symbol, "interval": interval}
        while len(rows) <= count:  # one more: the newest has not ended
            limit = min(_KLINES_PAGE, count + 1 - len(rows))
            before = {"endTime": to_us(rows[0][0]) // 1000 - 1} if rows else {}
            text = await self._get("/klines", params | before | {"limit": limit}, _KLINES_WEIGHT)
            page = orjson.loads(text)
            rows = page + rows
            if len(page) < limit:
                break
        return [row for row in rows if to_us(row[6]) < now][-count:]

    async def time(self) -> str:
        """Return ``{"serverTime": …}``."""
        return await self._get("/time", {}, _TIME_WEIGHT)

    async def info(self, symbols: tuple[str, ...], *, urgent: bool = True) -> Info:
        """Return what the exchange says of symbols.

        Raises:
            ConfigError: A symbol that the exchange does not have.

        """
        found = Info()
        for part in _parts(symbols, 100 if self._market.info_by_symbols else len(symbols)):
            body = await self._info(part, urgent=urgent)
            found.server_us = to_us(body.server_time)
            for row in body.symbols:
                if row.symbol in part:
                    found.scales[row.symbol] = _scales(row)
                    found.statuses[row.symbol] = row.status
            for symbol in part:
                if symbol not in found.scales:
                    raise self._unknown(symbol)
        return found

    async def listed(self) -> list[Listed]:
        """Return every symbol that there is."""
        body = await self._info((), urgent=False)
        return [Listed(r.symbol, r.status, r.base_asset, r.quote_asset) for r in body.symbols]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _info(self, part: tuple[str, ...], *, urgent: bool) -> _ExchangeInfo:
        names = {"symbols": orjson.dumps(list(part)).decode()}
        params = names if part and self._market.info_by_symbols else {}
        weight = self._market.info_weight
        try:
            text = await self._get("/exchangeInfo", params, weight, urgent=urgent)
        except RestError as error:
            if "-1121" in str(error) or "-1100" in str(error):
                raise await self._which_is_unknown(part) from None
            raise
        try:
            return _ExchangeInfo.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise RestError(f"exchangeInfo cannot be read: {where}: {first['msg']}") from None

    async def _which_is_unknown(self, symbols: tuple[str, ...]) -> ConfigError:
        for symbol in symbols:
            try:
                await self._get("/exchangeInfo", {"symbol": symbol}, self._market.info_weight)
            except RestError:
                return self._unknown(symbol)
        return ConfigError("symbols", f"{self._config.rest} refused {' '.join(symbols)}")

    def _unknown(self, symbol: str) -> ConfigError:
        return ConfigError(
            "symbols",
            f"{self._config.rest} has no symbol `{symbol}`",
            hint="symbols are written as the exchange does, such as BTCUSDT",
        )

    async def _get(
        self, path: str, params: dict[str, Any], weight: int, *, urgent: bool = True
    ) -> str:
        while (delay := self.budget.ask(weight, self._clock(), urgent=urgent)) > 0:
            LOG.info("rest budget is used up: waiting %.1f s", delay)
            await asyncio.sleep(delay)
        try:
            answer = await self._client.get(path, params=params)
        except httpx.HTTPError as error:
            raise RestError(f"{type(error).__name__}: {error}") from error
        used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if used.isdigit():
            self.budget.observed(int(used), self._clock())
        if answer.status_code in _REFUSALS:
            after = answer.headers.get("Retry-After")
            pause = self.budget.refused(answer.status_code, after, self._clock())
            LOG.warning("%s: HTTP %s, obeying %g s", path, answer.status_code, pause)
        if answer.status_code != httpx.codes.OK:
            raise RestError(f"HTTP {answer.status_code}: {answer.text[:200]}")
        return answer.text


def _parts(symbols: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(symbols), max(size, 1)):
        yield symbols[start : start + size]


def _scales(row: _Listing) -> tuple[int, int]:
    filters = {f.filter_type: f for f in row.filters}
    try:
        price = parse(filters.get("PRICE_FILTER", _Filter()).tick_size)[1]
        quantity = parse(filters.get("LOT_SIZE", _Filter()).step_size)[1]
    except DecimalError as error:
        raise ServiceError("exchangeInfo", f"{row.symbol}: {error}") from None
    return price, quantity
