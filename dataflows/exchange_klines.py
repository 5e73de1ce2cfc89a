"""The exchange's own klines by REST, for a comparison: in pages, within the weight it allows."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from connectors.binance.config import BinanceConfig
from connectors.parquet.layout import Kind, Wanted, find
from connectors.parquet.reader import read_klines
from core.audit import counts_trades
from core.exchange.limiter import WeightBudget
from core.exchange.official import parse_sum
from core.exchange.wire import to_us
from core.market.decimals import to_text
from core.market.errors import DecimalError, FileError, ServiceError
from core.market.intervals import DAY_US, Interval
from core.market.kline import Kline
from core.market.symbols import SPOT
from dataflows.lakedays import start_of
from dataflows.verify import Fields, Outcome, against_klines, stored_klines

_PAGE = 1000
_WEIGHTS = {SPOT: 2}
_WEIGHT = 5  # of a page of 1,000 on USD-M
_PATIENCE_S = 300.0
_NAMES = {
    1: "open", 2: "high", 3: "low", 4: "close", 5: "volume", 7: "quote_volume",
    9: "taker_buy_volume", 10: "taker_buy_quote_volume",
}  # fmt: skip

Sleep = Callable[[float], None]


class ExchangeKlines:
    """Reads closed klines; one client for all of a comparison.

    Raises:
        ServiceError: On entering and reading, when the exchange cannot be asked.

    """

    def __init__(self, config: BinanceConfig, *, sleep: Sleep = time.sleep) -> None:
        self._market = config.place
        self._budget = WeightBudget(
            limit=config.weight_per_minute or config.place.weight_per_minute
        )
        self._weight = _WEIGHTS.get(self._market.exchange, _WEIGHT)
        self._counts = counts_trades(f"{self._market.exchange}:")
        self._sleep = sleep
        self._client = httpx.Client(
            base_url=config.rest + self._market.prefix, timeout=config.rest_timeout
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    @property
    def address(self) -> str:
        """Where it asks."""
        return str(self._client.base_url)

    def read(
        self, symbol: str, of: Interval, start_us: int, end_us: int
    ) -> Iterator[tuple[int, Fields]]:
        """Yield the start and the fields of each kline that opens in ``start <= t < end``."""
        while start_us < end_us:
            rows = self._page(symbol, of, start_us, end_us)
            for row in rows:
                start_us, fields = self._row(row)
                yield start_us, fields
            if len(rows) < _PAGE:
                return
            start_us = of.end_of(start_us)

    def _row(self, row: list[Any]) -> tuple[int, Fields]:
        try:
            fields = {name: to_text(*parse_sum(row[at])) for at, name in _NAMES.items()}
            counted = {"trades": str(row[8])} if self._counts else {}
            return to_us(int(row[0])), fields | counted
        except (DecimalError, LookupError, TypeError, ValueError) as error:
            raise ServiceError("exchange", f"no kline: {error}: {str(row)[:120]}") from None

    def _page(self, symbol: str, of: Interval, start_us: int, end_us: int) -> list[list[Any]]:
        params: dict[str, str | int] = {
            "symbol": symbol, "interval": of.name, "startTime": start_us // 1000,
            "endTime": end_us // 1000 - 1, "limit": _PAGE,
        }  # fmt: skip
        waited = 0.0
        while True:
            answer = self._get(params)
            if answer.status_code == httpx.codes.OK:
                rows = orjson.loads(answer.content)
                return rows if isinstance(rows, list) else []
            pause = _pause(answer)
            waited += pause
            if not pause or waited > _PATIENCE_S:
                why = f"{self.address}: HTTP {answer.status_code}: {answer.text[:200]}"
                raise ServiceError("exchange", why, hint="see binance.endpoint; 429 and 418: wait")
            self._budget.punished(pause, time.time())

    def _get(self, params: dict[str, str | int]) -> httpx.Response:
        while (delay := self._budget.delay(self._weight, time.time(), urgent=False)) > 0:
            self._sleep(delay)
        try:
            answer = self._client.get("/klines", params=params)
        except httpx.HTTPError as error:
            why = f"{self.address}: {type(error).__name__}: {error}"
            raise ServiceError(
                "exchange", why, hint="see binance.endpoint, binance.rest_url"
            ) from None
        used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if used.isdigit():
            self._budget.observed(int(used), time.time())
        return answer


def against_exchange(
    lake: Path, klines: ExchangeKlines, key: str, of: Interval, day: str | None = None
) -> Outcome:
    """Compare the lake's klines with the exchange's, from the first one held to the last.

    Args:
        lake: The lake.
        klines: Asks the exchange.
        key: The instrument's key.
        of: The interval.
        day: Only this UTC day.

    Raises:
        FileError: The lake holds no such klines, or cannot be read.
        ServiceError: The exchange cannot be asked.

    """
    parts = find(lake, Wanted(Kind.KLINES, {key}, intervals={of.name}))
    if not parts:
        raise FileError(lake, f"holds no klines of {of} of {key}")
    start_us = _open_of(parts[0].path, min)
    end_us = of.end_of(max(_open_of(p.path, max) for p in parts if p.date == parts[-1].date))
    if day is not None:
        start_us = max(start_us, start_of(day))
        end_us = min(end_us, start_of(day) + DAY_US)
    outcome = Outcome(klines.address, key, f"klines {of}")
    read = stored_klines(lake, key, of)

    def ours(day_us: int) -> Iterator[Kline]:
        return (kline for kline in read(day_us) if start_us <= kline.open_us < end_us)

    theirs = klines.read(key.partition(":")[2], of, start_us, end_us)
    days = range(start_us - start_us % DAY_US, end_us, DAY_US)
    return against_klines(outcome, ours, theirs, days)


def _open_of(path: Path, choose: Callable[[Iterator[int]], int]) -> int:
    return choose(kline.open_us for kline in read_klines(path))


def _pause(answer: httpx.Response) -> float:
    # Only what the exchange says to wait for: all else would be asked for in vain again.
    if answer.status_code not in {418, 429}:
        return 0.0
    after = answer.headers.get("Retry-After", "")
    return float(after) if after.isdigit() else 60.0
