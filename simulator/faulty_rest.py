"""REST with its faults: errors instead of answers, answers that hang, lag, or are cut off.

The answers are those of `Rest`; what goes wrong with them is decided here, by path, time and count.
Bodies and headers of errors: binance-spot-api-docs, rest-api.md ("HTTP Return Codes"), errors.md.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from simulator.faults import Fault, Partial, RestFault, RestHang, RestLag, RestStatus, Torn
from simulator.injection import Faults
from simulator.limits import Weights
from simulator.rest import Reply, Rest
from simulator.tape import SECOND_US

FOREVER_US: Final = 1 << 62

_BODIES: Final = {
    429: (-1003, "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
                 "Please use WebSocket Streams for live updates to avoid polling the API."),
    418: (-1003, "Way too much request weight used; IP banned until {until}. "
                 "Please use WebSocket Streams for live updates to avoid bans."),
    403: (0, "Forbidden"),
    500: (-1000, "An unknown error occurred while processing the request."),
    502: (-1001, "Internal error; unable to process your request. Please try again."),
    503: (-1008, "Server is currently overloaded with other requests. "
                 "Please try again in a few minutes."),
    504: (-1007, "Timeout waiting for response from backend server. "
                 "Send status unknown; execution status unknown."),
}  # fmt: skip
_HTML_STATUS: Final = {403, 502, 504}
"""What the firewall and the gateway say, in HTML; the rest comes from the exchange, in JSON."""
_RETRY_US: Final = {429: 60 * SECOND_US, 418: 120 * SECOND_US}
_TORN: Final = 0.6
_SERVER_TIME: Final = re.compile(r'"serverTime":(\d+)')
_MICROSECONDS_FROM: Final = 10**14


class Answer(NamedTuple):
    """A reply, and how long it hangs in exchange time before it is given."""

    reply: Reply
    hang_us: int = 0


@dataclass(slots=True)
class _Armed:
    """One fault and how often it happened."""

    fault: RestFault
    start_us: int
    used: int = 0
    began_us: int | None = None

    def takes(self, path: str, now_us: int) -> bool:
        """Say whether it happens to a request, and count that."""
        fault, lasts = self.fault, self.fault.while_us
        at_us = self.start_us + (fault.after_us or 0)
        if now_us < at_us or not fault.concerns(path):
            return False
        if self.began_us is None:
            # A while that begins at a moment begins there; any other with the first request.
            self.began_us = now_us if fault.after_us is None else at_us
        limit = fault.count if fault.count is not None or lasts is not None else 1
        if limit is not None and self.used >= limit:
            return False
        if lasts is not None and now_us >= self.began_us + lasts:
            return False
        self.used += 1
        return True


@dataclass(slots=True)
class FaultyRest:
    """Answers requests about a market, or fails to."""

    rest: Rest
    faults: Faults
    speed: float
    _armed: list[_Armed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._armed = list(_arm(self.faults.faults, self.faults.start_us))

    @property
    def weights(self) -> Weights:
        """The weight used so far."""
        return self.rest.weights

    def answer(self, target: str, headers: Mapping[str, str], now_us: int) -> Answer:
        """Return the answer to ``GET target``."""
        path = urlsplit(target).path
        met = [a.fault for a in self._armed if a.takes(path, now_us)]
        error = next((f for f in met if isinstance(f, RestStatus)), None)
        if error is not None:
            reply = self._error(error, now_us)
        else:
            lag_us = sum(f.lag_us for f in met if isinstance(f, RestLag))
            reply = self.rest.reply(target, headers, now_us, lag_us=lag_us)
            reply = self._stamped(_short(reply, target, met), now_us)
        for fault in met:
            if isinstance(fault, Torn):
                reply = _torn(reply, fault)
        return Answer(reply, _hang_us(met))

    def _error(self, fault: RestStatus, now_us: int) -> Reply:
        status, headers = fault.status, dict[str, str]()
        retry_us = fault.retry_after_us or _RETRY_US.get(status)
        if retry_us is not None:
            # Whole seconds of the client's clock, which exchange time may outrun.
            seconds = max(1, -int(-retry_us / self.speed // SECOND_US))
            headers["Retry-After"] = str(seconds)
        if fault.body == "html" or (fault.body == "usual" and status in _HTML_STATUS):
            said = f"{status} {HTTPStatus(status).phrase}"
            page = f"<html>\r\n<head><title>{said}</title></head>\r\n"
            page += f"<body>\r\n<center><h1>{said}</h1></center>\r\n</body>\r\n</html>\r\n"
            return Reply(status, page, headers | {"Content-Type": "text/html"})
        code, text = _BODIES[status]
        until = (now_us + (retry_us or 0)) // 1000
        body = json.dumps({"code": code, "msg": text.format(until=until)}, separators=(",", ":"))
        used = str(self.weights.used(now_us))
        headers |= {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}
        return Reply(status, body, headers)

    def _stamped(self, reply: Reply, now_us: int) -> Reply:
        """Return a reply whose server time comes from a clock that may be wrong."""
        by_us = self.faults.skew_us(now_us)

        def shifted(found: re.Match[str]) -> str:
            time = int(found[1])
            return f'"serverTime":{time + (by_us if time >= _MICROSECONDS_FROM else by_us // 1000)}'

        return replace(reply, body=_SERVER_TIME.sub(shifted, reply.body)) if by_us else reply


def _arm(faults: Iterable[Fault], start_us: int) -> Iterator[_Armed]:
    for fault in faults:
        if isinstance(fault, RestFault):
            yield _Armed(fault, start_us)


def _hang_us(met: list[RestFault]) -> int:
    hangs = [fault.for_us for fault in met if isinstance(fault, RestHang)]
    return max((FOREVER_US if us is None else us for us in hangs), default=0)


def _short(reply: Reply, target: str, met: list[RestFault]) -> Reply:
    """Return a page with fewer rows: the first ones of a page from somewhere on, else the last."""
    rows = min((fault.rows for fault in met if isinstance(fault, Partial)), default=None)
    if rows is None or reply.status != 200:
        return reply
    page = json.loads(reply.body)
    onward = "fromId=" in target or "startTime=" in target
    kept = page[:rows] if onward else page[max(0, len(page) - rows) :]
    return replace(reply, body=json.dumps(kept, separators=(",", ":")))


def _torn(reply: Reply, fault: Torn) -> Reply:
    whole = reply.body.encode()
    part = whole[: int(len(whole) * _TORN)].decode(errors="ignore")
    if fault.what == "body":
        return replace(reply, body=part)
    return replace(reply, body=part, headers=reply.headers | {"Content-Length": str(len(whole))})
