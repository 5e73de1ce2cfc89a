"""One connection: what it subscribed is written to its socket in the order of exchange time."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from simulator.config import SimulatorSettings
from simulator.connection import Connection
from simulator.faults import Frame, Mark, Out, framed
from simulator.injection import Faults
from simulator.limits import Rate
from simulator.requests import Requests
from simulator.streams import Channel, Channels
from simulator.tape import SECOND_US

logger = logging.getLogger("cryptotools.simulator")

_UNITS = {
    "MILLISECOND": 1000, "millisecond": 1000, "MICROSECOND": 1, "microsecond": 1,
}  # fmt: skip
# All sessions step over the same grid of exchange time, so that they share what is due.
_STEP_US = 100_000
_FRAMES_PER_PUMP = 4096
_FOREVER_US = 1 << 62


class Target(NamedTuple):
    """What the URL of a handshake asks for; `route` is a part of USD-M's addresses."""

    streams: list[str]
    combined: bool
    unit: int
    route: str = ""


def parse_target(target: str) -> Target | None:
    """Return what ``/ws/<stream>/…`` or ``/stream?streams=<stream>/…`` asks for, else None."""
    url = urlsplit(target)
    # Not parse_qs: the plus of `kline_1d@+08:00` is a plus.
    options = {
        unquote(key): unquote(value)
        for key, _, value in (part.partition("=") for part in url.query.split("&"))
    }
    unit = _UNITS.get(options.get("timeUnit", "MILLISECOND"))
    path = unquote(url.path)
    if unit is None:
        return None
    if path.rstrip("/") == "/stream":
        return Target(_names(options.get("streams", "")), True, unit)
    if path == "/ws" or path.startswith("/ws/"):
        return Target(_names(path[len("/ws") :]), False, unit)
    return None


def _names(text: str) -> list[str]:
    return [name for name in text.split("/") if name]


class Session:
    """A client's connection, fed by `pump` and by what the client sends."""

    def __init__(
        self,
        socket: Connection,
        target: Target,
        channels: Channels,
        settings: SimulatorSettings,
        faults: Faults,
        *,
        number: int,
        now: Callable[[], int],
    ) -> None:
        self._socket, self._unit, self._now = socket, target.unit, now
        self._channels, self._settings, self._faults = channels, settings, faults
        self._opened_us = self._cursor_us = now()
        self.number = number
        self._injector = faults.connect(number, self._opened_us)
        self._messages = Rate(settings.limits.messages, 1.0)
        self._requests = Requests(
            combined=target.combined,
            max_streams=settings.limits.streams,
            flat_errors=settings.errors == "flat",
            parse=channels.parse,
        )
        self._lifetime_us = round(settings.lifetime * SECOND_US)
        self._closing: asyncio.Task[None] | None = None
        self._frozen_until_us = 0
        self._held: list[Out] = []  # behind the mark that froze it
        socket.on_frame = self._count
        refusal = self._requests.open(target.streams, self._opened_us)
        if refusal:
            self._write([framed(refusal.encode())])

    async def run(self) -> None:
        """Answer the client until the connection ends."""
        alive = asyncio.create_task(self._keep_alive())
        try:
            with contextlib.suppress(ConnectionClosed):
                async for message in self._socket:
                    await self._answer(message)
        finally:
            alive.cancel()
            await asyncio.gather(alive, return_exceptions=True)
            if self._closing is not None:
                await self._closing

    def pump(self, now_us: int) -> bool:
        """Write what is due up to a time; return whether more is due than was written."""
        if self._is_frozen(now_us):
            return False
        if now_us - self._opened_us >= self._lifetime_us:
            self._close(CloseCode.GOING_AWAY, "")
        sent = 0
        while self._cursor_us < now_us and sent < _FRAMES_PER_PUMP and self._may_write():
            until_us = min(now_us, self._cursor_us - self._cursor_us % _STEP_US + _STEP_US)
            frames = self._due(self._cursor_us, until_us)
            self._cursor_us = until_us
            sent += len(frames)
            self._send(frames, until_us)
        return sent >= _FRAMES_PER_PUMP

    def cut(self) -> None:
        """End the TCP connection without a closing handshake, after what was written."""
        logger.info("connection %d is cut", self.number)
        self._socket.cut()

    async def _answer(self, message: str | bytes) -> None:
        # With quotes: UNSUBSCRIBE is another method.
        asked = message if isinstance(message, str) else message.decode(errors="replace")
        if '"SUBSCRIBE"' not in asked or not self._injector.handlers:
            self._write([framed(self._requests.answer(message, self._now()).encode())])
            return
        todo = self._injector.subscribing(len(asked.encode()), self._now())
        if todo.wait_us:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds(todo.wait_us)):
                    await self._socket.wait_closed()
        if not todo.heard:
            return
        answer = framed(self._requests.answer(message, self._now()).encode())
        if todo.answered and todo.answer_us:
            loop = asyncio.get_running_loop()
            loop.call_later(self._seconds(todo.answer_us), self._write, [answer])
        elif todo.answered:
            self._write([answer])

    def _seconds(self, span_us: int) -> float:
        return span_us / SECOND_US / self._settings.speed

    def _is_frozen(self, now_us: int) -> bool:
        """Say whether it is frozen; one whose while is over goes on where it was."""
        if not self._socket.frozen:
            return False
        if now_us < self._frozen_until_us:
            return True
        self._socket.thaw()
        held, self._held = self._held, []
        self._deliver(held, now_us)
        return self._socket.frozen

    def _due(self, after_us: int, until_us: int) -> list[Frame]:
        """Return the frames of all streams with ``after < E <= until``, in order of ``E``."""
        due: list[Frame] = []
        sources = 0
        for stream, since_us in self._requests.streams.items():
            channel = self._channel(stream)
            if channel is not None and since_us < until_us:
                frames = channel.due(max(after_us, since_us), until_us)
                sources += bool(frames)
                due = due + frames if due else frames
        return sorted(due, key=itemgetter(0)) if sources > 1 else due

    def _channel(self, stream: str) -> Channel | None:
        return self._channels.find(stream, self._unit, combined=self._requests.combined)

    def _send(self, frames: list[Frame], now_us: int) -> None:
        frames = self._faults.skewed(frames)
        if self._injector.armed:
            self._deliver(self._injector.feed(frames, now_us), now_us)
        elif frames:
            self._faults.frames_sent += len(frames)
            self._write([frame[2] for frame in frames])

    def _deliver(self, due: list[Out], now_us: int) -> None:
        """Write frames up to the first mark, and do what that says."""
        mark = next((n for n, one in enumerate(due) if isinstance(one, Mark)), len(due))
        frames = [one[2] for one in due[:mark] if not isinstance(one, Mark)]
        self._faults.frames_sent += len(frames)
        if frames:
            self._write(frames)
        if mark < len(due) and isinstance(found := due[mark], Mark):
            self._held = due[mark + 1 :]
            self._carry_out(found, now_us)

    def _carry_out(self, mark: Mark, now_us: int) -> None:
        if mark.what == "cut":
            self.cut()
        elif mark.what == "reset":
            logger.info("connection %d is reset", self.number)
            self._socket.reset()
        elif mark.what == "close":
            self._close(mark.code, mark.reason)
        else:
            logger.info("connection %d is frozen", self.number)
            self._socket.frozen = True
            lasts_us = _FOREVER_US if mark.for_us is None else mark.for_us
            self._frozen_until_us = now_us + lasts_us

    def _may_write(self) -> bool:
        if self._socket.frozen or self._closing is not None:
            return False
        if self._socket.state is not State.OPEN or self._socket.transport.is_closing():
            return False
        if self._socket.transport.get_write_buffer_size() <= self._settings.buffer:
            return True
        if self._settings.overflow == "disconnect":
            logger.warning("connection %d reads too slowly and is cut", self.number)
            self._socket.transport.abort()
        return False

    def _write(self, frames: Iterable[bytes]) -> None:
        # Whole frames straight to the transport: a hundred trades cost one call, and the
        # library's own frames (pongs, closing) cannot get in between.
        open_ = self._socket.state is State.OPEN and not self._socket.transport.is_closing()
        if open_ and not self._socket.frozen:
            self._socket.transport.write(b"".join(frames))

    def _count(self) -> None:
        if not self._messages.passes(asyncio.get_running_loop().time()):
            self._close(CloseCode.POLICY_VIOLATION, "Too many requests")

    def _close(self, code: int, reason: str) -> None:
        if self._closing is None and not self._socket.frozen:
            logger.info("connection %d is closed: %d %s", self.number, code, reason)
            self._closing = asyncio.create_task(self._socket.close(code, reason))

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ping_interval)
            if self._socket.frozen:
                continue
            with contextlib.suppress(ConnectionClosed):
                pong = await self._socket.ping(str(self._now() // 1000).encode())
                try:
                    async with asyncio.timeout(self._settings.pong_timeout):
                        await pong
                except TimeoutError:
                    if self._socket.frozen:
                        continue
                    self._close(CloseCode.POLICY_VIOLATION, "Pong timeout")
                    return
