"""The exchange on a socket: WebSocket streams and the REST API on one port, over one market.

loop, every few ms ──► Session.pump(now) for each connection
/ws, /stream       ──► Session          /api/v3/… ──► Rest, as a plain HTTP answer

Futures have other paths (`simulator.products`).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as serve_sockets
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from core.market.errors import MarketError, ServiceError
from simulator.altered import altered
from simulator.config import SimulatorSettings
from simulator.connection import Connection
from simulator.faults import RestHang
from simulator.faulty_rest import FOREVER_US, Answer, FaultyRest
from simulator.injection import Faults
from simulator.klines import INTERVALS, Kline
from simulator.limits import attempts
from simulator.market import Listing, open_market
from simulator.products import PRODUCTS
from simulator.rest import Reply
from simulator.session import Session
from simulator.tape import SECOND_US, Trade

HOST = "127.0.0.1"
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 418: "I'm a teapot"}
_MAX_MESSAGE = 1 << 20
_OPEN_SECONDS = 10.0
_CLOSE_SECONDS = 0.5  # how long a closing client is waited for

# The library reports each REST answer as a failed handshake.
_quiet = logging.getLogger("cryptotools.simulator.sockets")
_quiet.setLevel(logging.CRITICAL)
logger = logging.getLogger("cryptotools.simulator")


class Clock:
    """Exchange time: it starts at a given time and runs `speed` times as fast as ours."""

    def __init__(self, start_us: int, speed: float) -> None:
        self._start_us, self._speed = start_us, speed
        self._began = time.monotonic_ns()

    def now_us(self) -> int:
        """Return the exchange time in microseconds."""
        return self._start_us + int((time.monotonic_ns() - self._began) * self._speed / 1000)


class Exchange:
    """A simulated exchange; an asynchronous context manager that serves while it is open."""

    def __init__(self, settings: SimulatorSettings, *, host: str = HOST, port: int = 0) -> None:
        self.settings, self.host, self.port = settings, host, port
        market = open_market(settings.market, now=datetime.now(UTC))
        self.market = altered(market, settings.faults)
        self._product = PRODUCTS[settings.market.product]
        self._channels = {
            route: make(self.market, settings.klines)
            for route, make in self._product.channels.items()
        }
        self._faults = Faults(settings.faults, self.market.start_us)
        self._rest = FaultyRest(
            self._product.rest(self.market, settings), self._faults, settings.speed
        )
        self._ending = asyncio.Event()
        self._attempts = attempts(settings.limits)
        self._sessions: set[Session] = set()
        self._opened = 0
        self._clock = Clock(self.market.start_us, settings.speed)
        self._server: Server | None = None
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # Before the clock runs: the history is there when the first client asks.
        self.market.advance(self.market.start_us)
        try:
            self._server = await serve_sockets(
                self._handle,
                self.host,
                self.port,
                process_request=self._process_request,
                create_connection=Connection,
                compression=None,
                ping_interval=None,
                close_timeout=_CLOSE_SECONDS,
                max_size=_MAX_MESSAGE,
                open_timeout=self._open_timeout(),
                logger=_quiet,
            )
        except OSError as exc:
            hint = "choose another port, or 0 for any free one"
            raise ServiceError(
                "simulator", f"cannot listen on {self.host}:{self.port} ({exc})", hint=hint
            ) from exc
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        self._clock = Clock(self.market.start_us, self.settings.speed)
        self._pump = asyncio.create_task(self._run())
        logger.info("simulated exchange on %s:%d", self.host, self.port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        self._ending.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def ws_url(self) -> str:
        """Where the streams are: append ``/ws/<stream>`` or ``/stream?streams=``."""
        return f"ws://{self.host}:{self.port}{self._product.route}"

    @property
    def rest_url(self) -> str:
        """Where the REST API is: append ``/api/v3/…``, or ``/fapi/v1/…``."""
        return f"http://{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections have been opened so far."""
        return self._opened

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._sessions)

    def now_us(self) -> int:
        """Return the exchange time in microseconds."""
        return self._clock.now_us()

    def drop_all(self) -> int:
        """Cut every connection, without a closing handshake; return how many."""
        for session in self._sessions:
            session.cut()
        return len(self._sessions)

    def klines(self, symbol: str, interval: str, start_us: int, end_us: int) -> list[Kline]:
        """Return the klines that open in ``[start, end)`` and have ended by now."""
        if interval not in INTERVALS:
            raise MarketError(f"unknown interval `{interval}`; known are {' '.join(INTERVALS)}")
        now_us = self.now_us()
        limit = 1 + max(0, end_us - start_us) // max(1, INTERVALS[interval] or 1)
        rows = self._listing(symbol).klines.klines(
            interval, start_us, end_us - 1, until_us=now_us, limit=limit
        )
        return [row for row in rows if row.end_us <= now_us]

    def trades(self, symbol: str, start_us: int, end_us: int) -> list[Trade]:
        """Return the trades with ``start <= T < end`` that have happened by now."""
        tape = self._listing(symbol).tape
        until_us = min(end_us, self.now_us() + 1)
        first = tape.count_before(start_us)
        return tape.trades(first, until_us, max(0, tape.count_before(until_us) - first))

    async def failed(self) -> None:
        """Wait until the exchange fails, and raise why; it does not return by itself."""
        if self._pump is not None:
            await self._pump

    async def _run(self) -> None:
        while True:
            now_us = self.now_us()
            self.market.advance(now_us)
            behind = [session.pump(now_us) for session in tuple(self._sessions)]
            await asyncio.sleep(0 if any(behind) else self.settings.poll)

    async def _handle(self, socket: ServerConnection) -> None:
        # For type checkers: `create_connection` made it one, and the request was checked.
        target = self._product.target(socket.request.path) if socket.request else None
        if target is None or not isinstance(socket, Connection):
            return
        self._opened += 1
        session = Session(
            socket,
            target,
            self._channels[target.route],
            self.settings,
            self._faults,
            number=self._opened,
            now=self.now_us,
        )
        self._sessions.add(session)
        logger.info("connection %d opened: %d streams", session.number, len(target.streams))
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    def _process_request(
        self, _socket: ServerConnection, request: Request
    ) -> Response | Awaitable[Response] | None:
        """Answer a REST request, or refuse a handshake; None lets it pass."""
        path, now_us = request.path, self.now_us()
        if path.startswith(self._product.rest_path):
            if request.method != "GET":
                return _response(Reply(405, ""))
            answer = self._rest.answer(path, _headers(request), now_us)
            return self._later(answer) if answer.hang_us else _response(answer.reply)
        if self._product.target(path) is None:
            known = path.startswith(("/ws", "/stream"))
            return _response(Reply(400 if known else 404, ""))
        status = self._refusal(now_us)
        if status is not None:
            logger.info("a handshake is refused: %d", status)
            return _response(Reply(status, ""))
        return None

    async def _later(self, answer: Answer) -> Response:
        """Give an answer when it has hung for long enough, or when the exchange ends."""
        seconds = answer.hang_us / SECOND_US / self.settings.speed
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                self._ending.wait(), None if answer.hang_us >= FOREVER_US else seconds
            )
        return _response(answer.reply)

    def _open_timeout(self) -> float | None:
        # The library ends requests that take longer than this; some are meant to.
        hangs = any(isinstance(fault, RestHang) for fault in self.settings.faults)
        return None if hangs else _OPEN_SECONDS

    def _refusal(self, now_us: int) -> int | None:
        if not self._attempts.passes(asyncio.get_running_loop().time()):
            return 429
        if self._rest.weights.banned(now_us):
            return 403
        return self._faults.refuse(self._opened + 1, now_us)

    def _listing(self, symbol: str) -> Listing:
        listing = self.market.listings.get(symbol.upper())
        if listing is None:
            known = " ".join(self.market.listings)
            raise MarketError(f"`{symbol}` is not traded here; known are {known}")
        return listing


async def serve(
    settings: SimulatorSettings,
    *,
    host: str = HOST,
    port: int = 0,
    started: Callable[[Exchange], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run an exchange until `stop` is set, or for ever; `started` is called when it listens."""
    async with Exchange(settings, host=host, port=port) as exchange:
        if started is not None:
            started(exchange)
        waiting = asyncio.create_task((stop or asyncio.Event()).wait())
        failing = asyncio.create_task(exchange.failed())
        try:
            done, _ = await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
            if failing in done:
                await failing
        finally:
            for task in (waiting, failing):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(waiting, failing)


def _headers(request: Request) -> dict[str, str]:
    return {name: request.headers[name] for name in ("Accept", "X-MBX-TIME-UNIT", "X-MBX-APIKEY")
            if name in request.headers}  # fmt: skip


def _response(reply: Reply) -> Response:
    body = reply.body.encode()
    headers = Headers(
        {
            "Content-Type": "application/json;charset=UTF-8",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
    )
    for name, value in reply.headers.items():
        headers.pop(name, None)
        headers[name] = value
    return Response(reply.status, _REASONS.get(reply.status, "Refused"), headers, body)
