"""The thread that runs one session: sockets, REST, clock and dice, and nothing that decides.

    sockets ──frame──► session ◄──page── REST          (this thread, one asyncio loop)
                          │
                    take(): items, recorded inputs     (the worker's thread, never waits)

A worker that is too slow makes the thread stop reading; the exchange then drops the link and the
holes are repaired by REST: overload costs latency, never rows.
"""

import asyncio
import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import orjson

from connectors.binance.config import BinanceConfig
from connectors.binance.line import Line
from connectors.binance.rest import Info, Rest, RestError
from core.exchange.backoff import Backoff
from core.exchange.plan import Plan, Standing, Tell
from core.exchange.requests import (
    Dial,
    FetchNewest,
    FetchStatus,
    FetchTime,
    FetchTrades,
    Hangup,
    Request,
    Send,
)
from core.exchange.session import Session
from core.market.errors import CryptoToolsError
from core.market.events import Frame, Item
from telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from concurrent.futures import Future

LOG = logging.getLogger("cryptotools.binance")

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
        self._dice = dice
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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = threading.Event()
        self._prepared = asyncio.Event()
        self._newest_link = 0
        self._lines: dict[int, Line] = {}
        self._linked: set[asyncio.Task[None]] = set()
        self._statuses: dict[str, str] = {}
        self.skew_us = 0
        """The exchange's clock minus ours, as measured last."""
        self._thread = threading.Thread(target=self._run, name=plan.key, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._running.wait()

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

    def plan(self) -> Plan:
        """Return what it does now."""
        with self._lock:
            return self._session.plan

    def totals(self) -> dict[str, tuple[int, int, int]]:
        """Return (received, duplicate, rejected) rows by key since the start."""
        with self._lock:
            return self._session.totals()

    def books(self) -> tuple[dict[str, tuple[int, int, int]], int]:
        """Return the totals, and how many received rows `take` has not returned."""
        with self._lock:
            return self._session.totals(), self._session.held()

    def monotonic_ns(self, received_us: int) -> int:
        """Return when an input came, on the monotonic clock."""
        return self._started_ns + (received_us - self._wall_us) * 1000

    def command(
        self,
        *,
        subscribe: tuple[str, ...] = (),
        unsubscribe: tuple[str, ...] = (),
        tell: Tell | None = None,
        entry: str = "",
    ) -> "Future[None]":
        """Change what a running driver does; safe from any thread.

        Args:
            subscribe: Symbols to follow.
            unsubscribe: Symbols to follow no more.
            tell: What symbols are to be told.
            entry: Where in the control stream this stands; it is handed out with the inputs.

        The future ends when the session was told: with `ConfigError` for a symbol that the
        exchange does not have, with `RestError` when it could not be asked. Before the exchange
        was there for the first time it waits.

        """
        if self._loop is None or self._loop.is_closed() or self._stopping.is_set():
            raise RuntimeError("the driver does not run")
        work = self._command(subscribe, unsubscribe, tell, entry)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    # ---- the thread ----

    def _now_us(self) -> int:
        return self._wall_us + (time.monotonic_ns() - self._started_ns) // 1000

    def _now(self) -> float:
        return self._now_us() / 1e6

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except CryptoToolsError as error:
            self._failure = error
        except Exception as error:
            LOG.exception("the source thread failed")
            self._failure = error
        finally:
            self._running.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running.set()
        self._fetching = asyncio.Semaphore(_FETCHES)
        self._tasks: set[asyncio.Task[None]] = set()
        self._rest = Rest(self._config, clock=self._now)
        try:
            await self._prepare()
            for work in (self._alarms(), self._beats()):
                self._spawn(work)
            await self._keep_linked()
        finally:
            for task in self._tasks | self._linked:
                task.cancel()
            await asyncio.gather(*self._tasks, *self._linked, return_exceptions=True)
            await self._rest.close()

    async def _prepare(self) -> None:
        # Scales come from the exchange, once; a recording starts with the plan that has them.
        plan, level, info = self._session.plan, logging.WARNING, Info()
        while not self._stopping.is_set():
            try:
                info = await self._rest.info(plan.symbols)
            except RestError as error:
                LOG.log(level, "exchange information is not to be had, asking again: %s", error)
                level = logging.DEBUG  # said once for each outage
                await self._pause(self._backoff.lost(lived=0.0))
                continue
            break
        update = {
            "scales": info.scales | plan.scales,
            "clock_us": info.server_us,
            "rotate_us": self._rotation_us(),
        }
        plan = plan.model_copy(update=update)
        self.skew_us = info.server_us - self._now_us() if info.server_us else 0
        with self._lock:
            self._session = Session(plan)
        self._feed("start", plan.model_dump_json())
        self._prepared.set()
        self._told_status(info)

    def _rotation_us(self) -> int:
        # A little earlier or later, or all connections of a deployment would be replaced at once.
        spread = 1.0 - 0.05 * self._dice.random()
        return int(self._config.rotate_hours * 3600e6 * spread)

    # ---- links ----

    async def _keep_linked(self) -> None:
        while not self._stopping.is_set():
            if not self._linked:
                self._dial()
            done, _ = await asyncio.wait(self._linked, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # our own faults leave

    def _dial(self) -> None:
        self._newest_link += 1
        line = self._lines[self._newest_link] = Line(self._newest_link, self._config)
        task = asyncio.create_task(self._link(line))
        self._linked.add(task)
        task.add_done_callback(self._linked.discard)

    async def _link(self, line: Line) -> None:
        while (delay := self._rest.budget.dial(self._now())) > 0:
            LOG.warning("too many connections, or a ban: dialling again in %.0f s", delay)
            if await self._pause(delay):
                del self._lines[line.number]
                return
        began_us = self._now_us()
        reason = await line.run(
            lambda kind, text: self._feed(kind, text, line.number), self._wait_for_room
        )
        if line.refusal is not None and line.refusal.status in {403, 418, 429}:
            refusal = line.refusal
            self._rest.budget.refused(refusal.status, refusal.retry_after, self._now())
        lived = (self._now_us() - began_us) / 1e6 if line.opened else 0.0
        del self._lines[line.number]
        self._feed("close", reason, line.number)
        if not self._stopping.is_set() and not self._lines:
            delay = self._backoff.lost(lived=lived)
            LOG.info("link %d: %s; dialling again in %.2f s", line.number, reason, delay)
            await self._pause(delay)

    async def _wait_for_room(self) -> None:
        if self._session.waiting <= self._config.max_pending_rows:
            return
        self._drained.clear()
        while not self._stopping.is_set() and not self._drained.is_set():
            await asyncio.to_thread(self._drained.wait, 0.1)

    # ---- inputs and requests ----

    def _feed(self, kind: str, payload: str, link: int | None = None) -> None:
        key = self._key
        number = self._newest_link if link is None else link
        frame = Frame(key, self._now_us(), kind, number, payload)
        with self._lock:
            self._frames.append((key, frame))
            self._session.feed(frame)
            requests = self._session.requests()
        for request in requests:
            self._carry_out(request)

    def _carry_out(self, request: Request) -> None:
        if isinstance(request, Send | Hangup):
            line = self._lines.get(request.link)
            if line is None:
                return  # meant for a link that is gone; the next one subscribes anew
            if isinstance(request, Send):
                line.send(request.text)
            else:
                self._spawn(line.hang_up(request.reason))
        elif isinstance(request, Dial):
            LOG.info("opening another link: %s", request.reason)
            self._dial()
        elif isinstance(request, FetchStatus):
            self._spawn(self._fetch_status())
        elif isinstance(request, FetchTime):
            self._spawn(self._fetch_time())
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

    async def _fetch_time(self) -> None:
        try:
            self._feed("time", await self._rest.time())
        except RestError as error:
            LOG.info("asking for the time failed: %s", error)

    async def _fetch_status(self) -> None:
        asked_us = self._now_us()
        try:
            info = await self._rest.info(self._session.plan.symbols, urgent=False)
        except (RestError, CryptoToolsError) as error:
            LOG.info("asking for the status of symbols failed: %s", error)
            return
        # Measured and shown, never used: the flow lives by the exchange's time.
        middle_us = (asked_us + self._now_us()) // 2
        self.skew_us = info.server_us - middle_us
        metrics.CLOCK_SKEW.set(self.skew_us / 1e6)
        self._told_status(info)

    def _told_status(self, info: Info) -> None:
        if info.statuses and info.statuses != self._statuses:
            self._statuses = info.statuses
            self._feed("status", orjson.dumps({"statuses": info.statuses}).decode())

    async def _command(
        self,
        subscribe: tuple[str, ...],
        unsubscribe: tuple[str, ...],
        tell: Tell | None,
        entry: str,
    ) -> None:
        await self._prepared.wait()
        info = await self._rest.info(subscribe) if subscribe else Info()
        plan = self._session.plan
        klines = {s: await self._klines(s, plan.standing.values()) for s in subscribe}
        if tell is not None:
            told = [s for s in plan.symbols if tell.message.concerns(s)]
            klines |= {s: await self._klines(s, [tell.message]) for s in told}
        body = {
            "entry": entry,
            "subscribe": info.scales,
            "unsubscribe": list(unsubscribe),
            "klines": {symbol: found for symbol, found in klines.items() if found},
        }
        more = {} if tell is None else {"tell": tell.as_dict()}
        self._feed("command", orjson.dumps(body | more).decode())

    async def _klines(self, symbol: str, messages: "Iterable[Standing]") -> dict[str, Any]:
        wanted: dict[str, int] = {}
        for message in messages:
            if message.concerns(symbol):
                for name, count in message.klines.items():
                    wanted[name] = max(count, wanted.get(name, 0))
        return {name: await self._rest.klines(symbol, name, n) for name, n in wanted.items()}

    # ---- time ----

    async def _alarms(self) -> None:
        while True:
            await asyncio.sleep(_ALARM_S)
            if self._stopping.is_set():
                for line in list(self._lines.values()):
                    await line.hang_up("stopped")
            due = self._session.deadline_us
            if due is not None and due <= self._now_us():
                self._feed("alarm", "")

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
            if self._session.received_frames == before and self._session.links:
                self._feed("time", body)

    async def _pause(self, seconds: float) -> bool:
        return await asyncio.to_thread(self._stopping.wait, seconds)

    def _spawn(self, work: "Coroutine[object, object, None]") -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
