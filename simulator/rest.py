"""The REST API: a request's target and headers in, status, headers and body out. No sockets.

Weights, parameters and shapes: binance-spot-api-docs, rest-api.md. Nothing is shown that has not
happened yet: trades up to now, and where Binance reads from its database up to a lag before now.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple
from urllib.parse import urlsplit

from simulator import pages, wire
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


class Ask(NamedTuple):
    """One request: parameters, the time, the units of the answer's times."""

    parameters: Parameters
    now_us: int
    unit: int
    lag_us: int = 0


class Endpoint(NamedTuple):
    """One path: what it costs (by its query, if that matters), what it takes, what it answers.

    Attributes:
        parameters: Those it reads; None where any others are passed over.

    """

    weight: int | Callable[[str], int]
    parameters: tuple[str, ...] | None
    answer: Callable[[Ask], str]
    needs_key: bool = False

    def cost(self, query: str) -> int:
        """Return the weight of a request."""
        return self.weight if isinstance(self.weight, int) else self.weight(query)


class Rest:
    """Answers requests about a market, as Spot does.

    Attributes:
        market: What is traded.
        settings: Of the whole exchange.
        weights: What was used.

    """

    used_headers: ClassVar[tuple[str, ...]] = ("X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-1M")

    def __init__(self, market: Market, settings: SimulatorSettings) -> None:
        self.market, self.settings = market, settings
        self._lag_us = round(settings.rest_lag * SECOND_US)
        self.weights = Weights(settings.limits)
        self._endpoints = self.endpoints()

    def endpoints(self) -> dict[str, Endpoint]:
        """Return all paths."""
        klines = ("symbol", "interval", *_TIMES, "timeZone", "limit")
        info = ("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
        return {
            "/api/v3/ping": Endpoint(1, (), lambda _: "{}"),
            "/api/v3/time": Endpoint(1, (), self._time),
            "/api/v3/exchangeInfo": Endpoint(20, info, self._info),
            "/api/v3/trades": Endpoint(25, ("symbol", "limit"), self._trades),
            "/api/v3/historicalTrades": Endpoint(25, ("symbol", "limit", "fromId"), self._history),
            "/api/v3/aggTrades": Endpoint(
                4, ("symbol", "fromId", *_TIMES, "limit"), self._aggregates
            ),
            "/api/v3/klines": Endpoint(2, klines, self._klines),
            "/api/v3/uiKlines": Endpoint(2, klines, self._klines),
        }

    def reply(
        self, target: str, headers: Mapping[str, str], now_us: int, *, lag_us: int = 0
    ) -> Reply:
        """Return the answer to ``GET target``; history lags by `lag_us` more than it is set to."""
        url = urlsplit(target)
        endpoint = self._endpoints.get(url.path)
        if endpoint is None:
            return _not_found("text/html" in headers.get("Accept", ""))
        verdict = self.weights.charge(endpoint.cost(url.query), now_us)
        extra = dict.fromkeys(self.used_headers, str(verdict.used))
        try:
            if verdict.status != 200:
                extra["Retry-After"] = str(self._seconds_until(verdict.until_us, now_us))
                raise RestError(-1003, self.refusal(verdict), status=verdict.status)
            ask = self.ask(url.query, endpoint, headers, now_us)
            return Reply(200, endpoint.answer(ask._replace(lag_us=lag_us)), extra)
        except RestError as error:
            return Reply(error.status, error.body(), extra)

    def ask(self, query: str, endpoint: Endpoint, headers: Mapping[str, str], now_us: int) -> Ask:
        """Return what a request asks for, or refuse."""
        unit = _UNITS.get(headers.get("X-MBX-TIME-UNIT", "MILLISECOND").upper())
        if unit is None:
            text = "Invalid value for time unit; expected either MICROSECOND or MILLISECOND."
            raise RestError(-1194, text)
        return Ask(Parameters(query, endpoint.parameters), now_us, unit)

    def refusal(self, verdict: Verdict) -> str:
        """Return the text of an answer 429 or 418."""
        if verdict.status == 418:
            return (
                f"Way too much request weight used; IP banned until {verdict.until_us // 1000}. "
                "Please use WebSocket Streams for live updates to avoid bans."
            )
        return (
            "Too much request weight used; current limit is "
            f"{self.settings.limits.weight} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )

    def _seconds_until(self, until_us: int, now_us: int) -> int:
        """Return whole seconds of the client's clock, which exchange time may outrun."""
        return max(1, -int((now_us - until_us) / self.settings.speed // SECOND_US))

    def _time(self, ask: Ask) -> str:
        return f'{{"serverTime":{ask.now_us // ask.unit}}}'

    def _info(self, ask: Ask) -> str:
        status = ask.parameters.text("symbolStatus")
        if status and ("symbol" in ask.parameters or "symbols" in ask.parameters):
            raise RestError(-1128, "Combination of optional parameters invalid.")
        if status not in (None, "TRADING", "HALT", "BREAK"):
            raise RestError(-1122, "Invalid symbolStatus.")
        found = ask.parameters.listings(self.market)
        listings = [x for x in found if status in (None, x.statuses.at(ask.now_us))]
        limit = self.settings.limits.weight
        return json.dumps(
            exchange_info(listings, ask.now_us // ask.unit, limit, now_us=ask.now_us),
            separators=(",", ":"),
        )

    def _trades(self, ask: Ask) -> str:
        tape, limit = ask.parameters.listing(self.market).tape, ask.parameters.limit()
        return wire.rest_trades(pages.trades(tape, None, ask.now_us + 1, limit), ask.unit)

    def _history(self, ask: Ask) -> str:
        tape, limit = ask.parameters.listing(self.market).tape, ask.parameters.limit()
        from_id = ask.parameters.number("fromId")
        return wire.rest_trades(pages.trades(tape, from_id, self.known(ask), limit), ask.unit)

    def _aggregates(self, ask: Ask) -> str:
        tape, limit = ask.parameters.listing(self.market).tape, ask.parameters.limit()
        from_id = ask.parameters.number("fromId")
        start, end = span(ask)
        if from_id is not None and (start is not None or end is not None):
            raise RestError(-1128, "Combination of optional parameters invalid.")
        until_us = self.known(ask) if end is None else min(self.known(ask), end + 1)
        rows = pages.aggregates(tape, from_id, start, until_us, limit)
        return wire.rest_aggregates(rows, ask.unit)

    def _klines(self, ask: Ask) -> str:
        rows = pages.klines(
            ask.parameters.listing(self.market).klines,
            ask.parameters.interval(),
            span(ask),
            until_us=self.known(ask),
            limit=ask.parameters.limit(),
            offset_us=ask.parameters.zone_us(),
        )
        return wire.rest_klines(rows, ask.unit)

    def known(self, ask: Ask) -> int:
        """Return the time up to which history is known."""
        return ask.now_us - self._lag_us - ask.lag_us + 1


def span(ask: Ask) -> tuple[int | None, int | None]:
    """Return the times of ``startTime`` and ``endTime``, inclusive."""
    return ask.parameters.time("startTime"), ask.parameters.time("endTime", end=True)


def _not_found(html: bool) -> Reply:
    body = "<html><body><h2>404 Not found</h2></body></html>" if html else ""
    return Reply(404, body, {"Content-Type": "text/html" if html else "application/json"})
