"""The REST API of USD-M: its paths, weights and limits.

Weights and parameters: binance-connector-python, derivatives_trading_usds_futures, market_data_api;
error texts: the derivatives documentation, "Error Code". History ends where USD-M's does: 48 hours
ago for aggregates, a month ago for trades, which need an API key (any will do here).
"""

import json
from collections.abc import Mapping
from typing import ClassVar, Final
from urllib.parse import parse_qs

from simulator import pages
from simulator.klines import DAY_US, HOUR_US, INTERVALS
from simulator.limits import Verdict
from simulator.parameters import Parameters, RestError
from simulator.rest import Ask, Endpoint, Rest, span
from simulator.tape import Aggregate, Tape
from simulator.usdm import wire
from simulator.usdm.listings import exchange_info
from simulator.usdm.tape import CELL_US

KEY_HEADER: Final = "X-MBX-APIKEY"
AGGREGATES_KEPT_US: Final = 2 * DAY_US
TRADES_KEPT_US: Final = 30 * DAY_US

_KLINE_WEIGHTS = ((100, 1), (500, 2), (1001, 5))
_TIMES = ("startTime", "endTime")
_PREFIX = "/fapi/v1"


class UsdmParameters(Parameters):
    """Parameters as USD-M reads them: times are milliseconds, too large a limit is an error."""

    @staticmethod
    def at_most(limit: int, most: int) -> int:
        """Return the limit, or 0 for one that is too large."""
        return limit if limit <= most else 0

    def time(self, name: str, *, end: bool = False) -> int | None:
        """Return a time in microseconds; of an inclusive `end`, its last one."""
        value = self.number(name)
        return None if value is None else value * 1000 + (999 if end else 0)

    def interval(self) -> str:
        """Return the kline interval; there are none of a second."""
        name = self.required("interval")
        if name not in INTERVALS or name == "1s":
            raise RestError(-1120, "Invalid interval.")
        return name


class UsdmRest(Rest):
    """Answers requests about a market, as USD-M does."""

    used_headers: ClassVar[tuple[str, ...]] = ("X-MBX-USED-WEIGHT-1M",)

    def endpoints(self) -> dict[str, Endpoint]:
        """Return all paths."""
        old = Endpoint(200, ("symbol", "limit", "fromId"), self._history, needs_key=True)
        aggregates = Endpoint(20, ("symbol", "fromId", *_TIMES, "limit"), self._aggregates)
        klines = Endpoint(_kline_weight, ("symbol", "interval", *_TIMES, "limit"), self._klines)
        return {
            f"{_PREFIX}/ping": Endpoint(1, (), lambda _: "{}"),
            f"{_PREFIX}/time": Endpoint(1, (), lambda a: f'{{"serverTime":{a.now_us // 1000}}}'),
            # Others are passed over: it always tells of all symbols.
            f"{_PREFIX}/exchangeInfo": Endpoint(1, None, self._info),
            f"{_PREFIX}/trades": Endpoint(5, ("symbol", "limit"), self._trades),
            f"{_PREFIX}/historicalTrades": old,
            f"{_PREFIX}/aggTrades": aggregates,
            f"{_PREFIX}/klines": klines,
        }

    def ask(self, query: str, endpoint: Endpoint, headers: Mapping[str, str], now_us: int) -> Ask:
        """Return what a request asks for, or refuse."""
        if endpoint.needs_key and not headers.get(KEY_HEADER):
            raise RestError(-2014, "API-key format invalid.", status=401)
        return Ask(UsdmParameters(query, endpoint.parameters), now_us, 1000)

    def refusal(self, verdict: Verdict) -> str:
        """Return the text of an answer 429 or 418."""
        if verdict.status == 418:
            return (
                f"Way too many requests; IP banned until {verdict.until_us // 1000}. "
                "Please use the websocket for live updates to avoid bans."
            )
        return (
            f"Too many requests; current limit is {self.settings.limits.weight} requests per "
            "minute. Please use the websocket for live updates to avoid polling the API."
        )

    def _info(self, ask: Ask) -> str:
        listings = list(self.market.listings.values())
        info = exchange_info(listings, ask.now_us, self.settings.limits.weight)
        return json.dumps(info, separators=(",", ":"))

    def _trades(self, ask: Ask) -> str:
        listing, limit = ask.parameters.listing(self.market), ask.parameters.limit()
        rows = pages.trades(listing.tape, None, ask.now_us + 1, limit)
        return wire.rest_trades(rows, listing)

    def _history(self, ask: Ask) -> str:
        listing = ask.parameters.listing(self.market)
        limit, from_id = ask.parameters.limit(100, 500), ask.parameters.number("fromId")
        if from_id is not None:
            oldest = pages.trades(listing.tape, None, max(0, ask.now_us - TRADES_KEPT_US), 1)
            from_id = max(from_id, oldest[0].id + 1 if oldest else 0)
        rows = pages.trades(listing.tape, from_id, self.known(ask), limit)
        return wire.rest_trades(rows, listing)

    def _aggregates(self, ask: Ask) -> str:
        listing, limit = ask.parameters.listing(self.market), ask.parameters.limit()
        rows = self._selected(listing.tape, ask, limit)
        return wire.rest_aggregates(rows, listing)

    def _selected(self, tape: Tape, ask: Ask, limit: int) -> list[Aggregate]:
        from_id, (start, end) = ask.parameters.number("fromId"), span(ask)
        if from_id is not None and (start is not None or end is not None):
            raise RestError(-1128, "Combination of optional parameters invalid.")
        if start is not None and end is not None and end - start >= HOUR_US:
            raise RestError(-1127, "More than 1 hours between startTime and endTime.")
        # An aggregate is known once nothing can join it any more.
        known_us = self.known(ask)
        known_us -= known_us % CELL_US
        oldest_us = ask.now_us - AGGREGATES_KEPT_US
        if from_id is not None:
            oldest = tape.first_aggregate_id + tape.aggregates_before(oldest_us)
            from_id = max(from_id, oldest)
        elif start is not None:
            start = max(start, oldest_us)
        until_us = known_us if end is None else min(known_us, end + 1)
        return pages.aggregates(tape, from_id, start, until_us, limit)

    def _klines(self, ask: Ask) -> str:
        listing = ask.parameters.listing(self.market)
        rows = pages.klines(
            listing.klines,
            ask.parameters.interval(),
            span(ask),
            until_us=self.known(ask),
            limit=ask.parameters.limit(500, 1500),
        )
        return wire.rest_klines(rows, listing)


def _kline_weight(query: str) -> int:
    text = parse_qs(query).get("limit", ["500"])[-1]
    limit = int(text) if text.isascii() and text.isdigit() else 500
    return next((weight for below, weight in _KLINE_WEIGHTS if limit < below), 10)
