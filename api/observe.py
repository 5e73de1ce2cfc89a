"""What is noted of every request: its metrics, one line of log, and an id to find that line by.

It passes messages on as they come: nothing of an answer waits here, streams neither.
"""

import logging
import re
from time import perf_counter
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import ApiMetrics
from telemetry.traces import Attributes, Traces

LOG = logging.getLogger("cryptotools.api.request")

REQUEST_ID = "X-Request-ID"
_SPELLED = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_READS = frozenset({"GET", "HEAD", "WEBSOCKET"})
_PROBES = frozenset({"/health", "/ready", "/version", "/metrics"})
"""Asked every few seconds by machines: logged as ``debug``, as reads are where people look on."""
_UNMATCHED = "unmatched"
_TRACED = ("traceparent", "tracestate")
"""Headers that name the trace of whoever asks (W3C Trace Context)."""


class _Seen:
    """A request or a WebSocket as far as it has come."""

    def __init__(
        self, scope: Scope, metrics: ApiMetrics, traces: Traces | None, *, reads: int
    ) -> None:
        self._scope, self._metrics, self._traces = scope, metrics, traces
        self._reads = reads
        self.request_id = _request_id(Headers(scope=scope))
        self.status = 500  # of one that never answers
        self._began = perf_counter()
        self._waits = False

    @property
    def method(self) -> str:
        if self._scope["type"] == "websocket":
            return "WEBSOCKET"
        method = str(self._scope["method"]).upper()
        return method if method in _METHODS else "OTHER"

    @property
    def route(self) -> str:
        # The template, never the path: that may hold anything, and there are as many as you like.
        template = getattr(self._scope.get("route"), "path_format", None)
        return _UNMATCHED if template is None else _prefix(self._scope, template) + template

    def begin(self) -> None:
        self._metrics.in_flight.inc()
        self._waits = True

    def answers(self, status: int, *, streams: bool = False) -> None:
        self.status = status
        self._end_waiting()
        if streams:
            self._time()

    def end(self, *, streamed: bool) -> None:
        self._end_waiting()
        self._metrics.requests.labels(self.method, self.route, str(self.status)).inc()
        if not streamed:
            self._time()
        self._log()
        if self._traces is not None:
            self._trace(self._traces)

    def _end_waiting(self) -> None:
        if self._waits:
            self._waits = False
            self._metrics.in_flight.dec()

    def _time(self) -> None:
        took = perf_counter() - self._began
        self._metrics.seconds.labels(self.method, self.route).observe(took)

    def _trace(self, traces: Traces) -> None:
        # Of a stream or a WebSocket the span ends when it does.
        about: Attributes = {
            "http.request.method": self.method, "http.route": self.route,
            "http.response.status_code": self.status, "request_id": self.request_id,
        }  # fmt: skip
        headers = Headers(scope=self._scope)
        given = {name: headers[name] for name in _TRACED if name in headers}
        took = perf_counter() - self._began
        traces.request(f"{self.method} {self.route}", took, about, given, ok=self.status < 500)

    def _log(self) -> None:
        level = logging.INFO
        if self.status < 400 and self.method in _READS:
            level = logging.DEBUG if self.route in _PROBES else self._reads
        if not LOG.isEnabledFor(level):
            return
        ms = round((perf_counter() - self._began) * 1000, 1)
        caller = self._scope.get("state", {}).get("caller") or "-"
        fields = {
            "method": self.method, "route": self.route, "status": self.status, "ms": ms,
            "caller": caller, "request_id": self.request_id,
        }  # fmt: skip
        line = "%s %s %d in %.1f ms for %s (%s)"
        LOG.log(level, line, *fields.values(), extra={"fields": fields})


class Observer:
    """ASGI middleware: goes around all others.

    Args:
        app: What is behind it.
        metrics: Where it counts.
        traces: Where spans go, if anywhere.
        reads: Level at which requests that only read, and went well, are logged.

    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: ApiMetrics,
        traces: Traces | None = None,
        *,
        reads: int = logging.INFO,
    ) -> None:
        self._app, self._metrics, self._traces = app, metrics, traces
        self._reads = reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request or a WebSocket pass, and note it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope, self._metrics, self._traces, reads=self._reads)
        scope.setdefault("state", {})["request_id"] = seen.request_id
        streamed = scope["type"] == "websocket"

        async def noted(message: Message) -> None:
            nonlocal streamed
            kind = message["type"]
            if kind == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = seen.request_id
                streamed = headers.get("content-type", "").startswith("text/event-stream")
                seen.answers(message["status"], streams=streamed)
            elif kind == "websocket.accept":
                seen.answers(101, streams=True)
            elif kind == "websocket.close":
                seen.answers(message.get("code", 1000))
            await send(message)

        seen.begin()
        try:
            await self._app(scope, receive, noted)
        finally:
            seen.end(streamed=streamed)


def _prefix(scope: Scope, template: str) -> str:
    # A route knows its path within its router only; what stands before it is the router's.
    values = scope.get("path_params", {})
    own = template.format_map({name: str(value) for name, value in values.items()})
    path = str(scope["path"])
    return path.removesuffix(own) if path.endswith(own) else ""


def _request_id(headers: Headers) -> str:
    said = headers.get(REQUEST_ID.lower(), "")
    return said if _SPELLED.fullmatch(said) else uuid4().hex
