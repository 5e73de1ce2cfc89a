"""The thread that runs one session: socket, REST, clock and dice, and nothing that decides.

    socket ──frame──► session ◄──page── REST          (this thread, one asyncio loop)
                         │
                   take(): items, recorded inputs     (the worker's thread, never waits)

A worker that is too slow makes the thread stop reading; the exchange then drops the link and the
holes are repaired by REST: overload costs latency, never rows.
"""

import asyncio
import contextlib
import logging
import random
import threading
import time
from typing import TYPE_CHECKING

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from connectors.binance.config import BinanceConfig
from connectors.binance.rest import Rest, RestError
from core.exchange.backoff import Backoff
from core.exchange.plan import Plan
from core.exchange.requests import FetchNewest, FetchTrades, Hangup, Request, Send
from core.exchange.session import Session
from core.market.errors import CryptoToolsError
from core.market.events import Frame, Item

if TYPE_CHECKING:
    from collections.abc import Coroutine

LOG = logging.getLogger("cryptotools.binance")

SEND_SPACING_S = 0.5
"""Between two messages: Binance counts pongs and requests together, five a second."""
_ALARM_S = 0.02
_QUIET_S = 5.0
_FETCHES = 4

Batch = list[tuple[str, Item]]


class Driver:
    """Runs one session on its own thread until it is stopped."""

    def __init__(self, config: BinanceConfig, plan: Plan, *, dice: random.Random) -> None:
        self._config = config
        self._session = Session(plan)
        self._key = plan.key
        self._backoff = Backoff(
            dice,
            base=config.backoff_base,
            cap=config.backoff_cap,
            stable=config.backoff_stable,
        )
        # Wall time at the start, then monotonic: it never jumps, and deadlines are measured on it.
        self._wall_us = time.time_ns() // 1000
        self._started_ns = time.monotonic_ns()
        self._lock = threading.Lock()
        self._frames: Batch = []
        self._failure: BaseException | None = None
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._drained.set()
        self._link = 0
        self._thread = threading.Thread(target=self._run, name=plan.key, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it received can still be taken."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=self._config.rest_timeout)

    def take(self) -> Batch:
        """Return all items since the last call, the recorded inputs first; never waits.

        Raises:
            BaseException: What ended the thread, if it was our fault or the user's.

        """
        with self._lock:
            recorded, self._frames = self._frames, []
            items = self._session.items()
            self._drained.set()
        if self._failure is not None:
            raise self._failure
        return recorded + items

    def resume(self) -> Plan:
        """Return the plan that goes on behind what was taken."""
        with self._lock:
            return self._session.resume()

    def totals(self) -> dict[str, tuple[int, int, int]]:
        """Return (received, duplicate, rejected) rows by key since the start."""
        with self._lock:
            return self._session.totals()

    # ---- the thread ----

    def _now_us(self) -> int:
        return self._wall_us + (time.monotonic_ns() - self._started_ns) // 1000

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except CryptoToolsError as error:
            self._failure = error
        except Exception as error:
            LOG.exception("the source thread failed")
            self._failure = error

    async def _main(self) -> None:
        self._sends: asyncio.Queue[Send] = asyncio.Queue()
        self._hangup = ""
        self._socket: ClientConnection | None = None
        self._fetching = asyncio.Semaphore(_FETCHES)
        self._tasks: set[asyncio.Task[None]] = set()
        self._rest = Rest(self._config, clock=lambda: self._now_us() / 1e6)
        try:
            await self._prepare()
            for work in (self._alarms(), self._sender(), self._beats()):
                self._spawn(work)
            while not self._stopping.is_set():
                await self._link_once()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._rest.close()

    async def _prepare(self) -> None:
        # Scales come from the exchange, once; a recording starts with the plan that has them.
        plan, level = self._session.plan, logging.WARNING
        while not self._stopping.is_set():
            try:
                scales, clock_us = await self._rest.info(plan.symbols)
            except RestError as error:
                LOG.log(level, "exchange information is not to be had, asking again: %s", error)
                level = logging.DEBUG  # said once for each outage
                await self._pause(self._backoff.lost(lived=0.0))
                continue
            plan = plan.model_copy(update={"scales": scales | plan.scales, "clock_us": clock_us})
            break
        with self._lock:
            self._session = Session(plan)
        self._feed("start", plan.model_dump_json())

    async def _link_once(self) -> None:
        self._link += 1
        began_us = self._now_us()
        opened = False
        try:
            async with connect(
                f"{self._config.ws}/stream?timeUnit=MICROSECOND",
                open_timeout=self._config.connect_timeout,
                close_timeout=1.0,
                max_queue=1024,
                compression=None,
            ) as socket:
                opened = True
                self._socket, self._hangup = socket, ""
                self._feed("open", "")
                reason = await self._read(socket)
        except (OSError, TimeoutError, InvalidHandshake) as error:
            reason = f"{type(error).__name__}: {error}" if not opened else f"lost: {error}"
        finally:
            self._socket = None
        lived = (self._now_us() - began_us) / 1e6 if opened else 0.0
        self._feed("close", reason)
        if not self._stopping.is_set():
            delay = self._backoff.lost(lived=lived)
            LOG.info("link %d: %s; dialling again in %.2f s", self._link, reason, delay)
            await self._pause(delay)

    async def _read(self, socket: ClientConnection) -> str:
        try:
            while True:
                try:
                    text = await socket.recv(decode=True)
                except UnicodeDecodeError:
                    text = ""  # an empty frame is quarantined like any other garbage
                self._feed("frame", text)
                if self._session.waiting > self._config.max_pending_rows:
                    await self._wait_for_the_worker()
        except ConnectionClosed as error:
            return self._hangup or str(error)

    async def _wait_for_the_worker(self) -> None:
        self._drained.clear()
        while not self._stopping.is_set() and not self._drained.is_set():
            await asyncio.to_thread(self._drained.wait, 0.1)

    def _feed(self, kind: str, payload: str) -> None:
        key = self._key
        frame = Frame(key, self._now_us(), kind, self._link, payload)
        with self._lock:
            self._frames.append((key, frame))
            self._session.feed(frame)
            requests = self._session.requests()
        for request in requests:
            self._carry_out(request)

    def _carry_out(self, request: Request) -> None:
        if isinstance(request, Send):
            self._sends.put_nowait(request)
        elif isinstance(request, Hangup):
            self._hangup = request.reason
            if self._socket is not None and request.link == self._link:
                self._spawn(self._socket.close(reason=request.reason[:100]))
        else:
            self._spawn(self._fetch(request))

    async def _fetch(self, request: FetchTrades | FetchNewest) -> None:
        answer: dict[str, int | str] = {"request": request.request}
        async with self._fetching:
            try:
                if isinstance(request, FetchTrades):
                    body = await self._rest.trades(request.symbol, request.from_id, request.limit)
                else:
                    body = await self._rest.newest(request.symbol)
                answer["body"] = body
            except RestError as error:
                LOG.warning("asking for trades of %s failed: %s", request.symbol, error)
                answer["error"] = str(error)
        self._feed("page", orjson.dumps(answer).decode())

    async def _alarms(self) -> None:
        while True:
            await asyncio.sleep(_ALARM_S)
            if self._stopping.is_set() and self._socket is not None:
                self._hangup = "stopped"
                await self._socket.close()
            due = self._session.deadline_us
            if due is not None and due <= self._now_us():
                self._feed("alarm", "")

    async def _sender(self) -> None:
        while True:
            send = await self._sends.get()
            socket = self._socket
            if socket is None or send.link != self._link:
                continue  # meant for a link that is gone; the next one subscribes anew
            with contextlib.suppress(ConnectionClosed):
                await socket.send(send.text)
            await asyncio.sleep(SEND_SPACING_S)

    async def _beats(self) -> None:
        # The exchange's clock comes with its frames; only silence is asked about.
        seen = -1
        while True:
            await asyncio.sleep(_QUIET_S)
            before = self._session.received_frames
            if before != seen:
                seen = before
                continue
            try:
                body = await self._rest.time()
            except RestError:
                continue
            if self._session.received_frames == before and self._socket is not None:
                self._feed("time", body)

    async def _pause(self, seconds: float) -> None:
        await asyncio.to_thread(self._stopping.wait, seconds)

    def _spawn(self, work: "Coroutine[object, object, None]") -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
