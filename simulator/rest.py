"""The REST API: a request's target and headers in, status, headers and body out. No sockets.

Weights, parameters and shapes: binance-spot-api-docs, rest-api.md. Nothing is shown that has not
happened yet: trades up to now, and where Binance reads from its database up to a lag before now.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from simulator import wire
from simulator.config import SimulatorSettings
from simulator.limits import Verdict, Weights
from simulator.listings import exchange_info
from simulator.market import Market
from simulator.parameters import Parameters, RestError
from simulator.tape import SECOND_US

_UNITS = {"MILLISECOND": 1000, "MICROSECOND": 1}
_TIMES = ("startTime", "endTime")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)


class _Ask(NamedTuple):
    """One request: parameters, the time, the units of the answer's times."""

    parameters: Parameters
    now_us: int
    unit: int


class _Endpoint(NamedTuple):
    weight: int
    parameters: tuple[str, ...]
    answer: Callable[[_Ask], str]


class Rest:
    """Answers requests about a market."""

    def __init__(self, market: Market, settings: SimulatorSettings) -> None:
        self._market, self._settings = market, settings
        self._lag_us = round(settings.rest_lag * SECOND_US)
        self.weights = Weights(settings.limits)
        klines = ("symbol", "interval", *_TIMES, "timeZone", "limit")
        info = ("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
        self._endpoints = {
            "/api/v3/ping": _Endpoint(1, (), lambda _: "{}"),
            "/api/v3/time": _Endpoint(1, (), self._time),
            "/api/v3/exchangeInfo": _Endpoint(20, info, self._info),
            "/api/v3/trades": _Endpoint(25, ("symbol", "limit"), self._trades),
            "/api/v3/historicalTrades": _Endpoint(25, ("symbol", "limit", "fromId"), self._history),
            "/api/v3/aggTrades": _Endpoint(
                4, ("symbol", "fromId", *_TIMES, "limit"), self._aggregates
            ),
            "/api/v3/klines": _Endpoint(2, klines, self._klines),
            "/api/v3/uiKlines": _Endpoint(2, klines, self._klines),
        }

    def reply(self, target: str, headers: Mapping[str, str], now_us: int) -> Reply:
        """Return the answer to ``GET target``."""
        url = urlsplit(target)
        endpoint = self._endpoints.get(url.path)
        if endpoint is None:
            return _not_found("text/html" in headers.get("Accept", ""))
        verdict = self.weights.charge(endpoint.weight, now_us)
        extra = {
            "X-MBX-USED-WEIGHT": str(verdict.used),
            "X-MBX-USED-WEIGHT-1M": str(verdict.used),
        }
        try:
            if verdict.status != 200:
                extra["Retry-After"] = str(self._seconds_until(verdict.until_us, now_us))
                raise self._refusal(verdict)
            unit = _UNITS.get(headers.get("X-MBX-TIME-UNIT", "MILLISECOND").upper())
            if unit is None:
                text = "Invalid value for time unit; expected either MICROSECOND or MILLISECOND."
                raise RestError(-1194, text)
            query = Parameters(url.query, endpoint.parameters)
            return Reply(200, endpoint.answer(_Ask(query, now_us, unit)), extra)
        except RestError as error:
            return Reply(error.status, error.body(), extra)

    def _refusal(self, verdict: Verdict) -> RestError:
        if verdict.status == 418:
            text = (
                f"Way too much request weight used; IP banned until {verdict.until_us // 1000}. "
                "Please use WebSocket Streams for live updates to avoid bans."
            )
        else:
            text = (
                "Too much request weight used; current limit is "
                f"{self._settings.limits.weight} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API."
            )
        return RestError(-1003, text, status=verdict.status)

    def _seconds_until(self, until_us: int, now_us: int) -> int:
        """Return whole seconds of the client's clock, which exchange time may outrun."""
        return max(1, -int((now_us - until_us) / self._settings.speed // SECOND_US))

    def _time(self, ask: _Ask) -> str:
        return f'{{"serverTime":{ask.now_us // ask.unit}}}'

    def _info(self, ask: _Ask) -> str:
        status = ask.parameters.text("symbolStatus")
        if status and ("symbol" in ask.parameters or "symbols" in ask.parameters):
            raise RestError(-1128, "Combination of optional parameters invalid.")
        if status not in (None, "TRADING", "HALT", "BREAK"):
            raise RestError(-1122, "Invalid symbolStatus.")
        found = ask.parameters.listings(self._market)
        listings = found if status in (None, "TRADING") else []
        limit = self._settings.limits.weight
        return json.dumps(
            exchange_info(listings, ask.now_us // ask.unit, limit), separators=(",", ":")
        )

    def _trades(self, ask: _Ask) -> str:
        tape, limit = ask.parameters.listing(self._market).tape, ask.parameters.limit()
        until_us = ask.now_us + 1
        first = max(0, tape.count_before(until_us) - limit)
        return wire.rest_trades(tape.trades(first, until_us, limit), ask.unit)

    def _history(self, ask: _Ask) -> str:
        tape, limit = ask.parameters.listing(self._market).tape, ask.parameters.limit()
        until_us, from_id = self._known(ask), ask.parameters.number("fromId")
        if from_id is None:
            first = max(0, tape.count_before(until_us) - limit)
        else:
            first = tape.position_of(from_id)
        return wire.rest_trades(tape.trades(first, until_us, limit), ask.unit)

    def _aggregates(self, ask: _Ask) -> str:
        tape, limit = ask.parameters.listing(self._market).tape, ask.parameters.limit()
        from_id = ask.parameters.number("fromId")
        start, end = self._span(ask)
        if from_id is not None and (start is not None or end is not None):
            raise RestError(-1128, "Combination of optional parameters invalid.")
        until_us = self._known(ask) if end is None else min(self._known(ask), end + 1)
        if from_id is not None:
            first = max(0, from_id - tape.first_aggregate_id)
        elif start is not None:
            first = tape.aggregates_before(start)
        else:
            first = max(0, tape.aggregates_before(until_us) - limit)
        return wire.rest_aggregates(tape.aggregates(first, until_us, limit), ask.unit)

    def _klines(self, ask: _Ask) -> str:
        oracle = ask.parameters.listing(self._market).klines
        interval, limit = ask.parameters.interval(), ask.parameters.limit()
        offset_us, (start, end) = ask.parameters.zone_us(), self._span(ask)
        until_us = self._known(ask)
        last = until_us if end is None else end
        if start is None:
            rows = oracle.latest(
                interval, last, until_us=until_us, limit=limit, offset_us=offset_us
            )
        else:
            rows = oracle.klines(
                interval, start, last, until_us=until_us, limit=limit, offset_us=offset_us
            )
        return wire.rest_klines(rows, ask.unit)

    def _known(self, ask: _Ask) -> int:
        return ask.now_us - self._lag_us + 1

    def _span(self, ask: _Ask) -> tuple[int | None, int | None]:
        return ask.parameters.time("startTime"), ask.parameters.time("endTime", end=True)


def _not_found(html: bool) -> Reply:
    body = "<html><body><h2>404 Not found</h2></body></html>" if html else ""
    return Reply(404, body, {"Content-Type": "text/html" if html else "application/json"})
