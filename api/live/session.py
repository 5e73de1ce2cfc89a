"""One client, whatever it is connected by: what it asked for, what waits for it, its frames."""

import asyncio
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from api.live.follow import Follower, Taken
from api.live.frames import frame
from api.live.mailbox import Mailbox, Path, Tape, Value
from api.live.tail import Id
from api.live.topics import check_number, read_topics

if TYPE_CHECKING:
    from api.live.hub import Hub

FLUSH_S = 0.1
"""Least time between two frames."""

MOVED_S = 30.0
"""A client that is sent nothing is told its place so often, if it has moved."""


class Session:
    """A client's view of the hub. Made by `Hub.session`, which also ends it.

    Args:
        hub: Gives what there is.
        topics: What the client asked for.
        cursor: Where it left off; None: nowhere.
        transport: What it is connected by, for metrics.

    """

    def __init__(
        self,
        hub: "Hub",
        topics: frozenset[str],
        cursor: Id | None,
        transport: str = "websocket",
    ) -> None:
        self._hub = hub
        self.topics = topics
        self.follower = Follower(hub, cursor)
        self.mailbox = Mailbox()
        self.wake = asyncio.Event()
        self.n = 0
        """Number of the newest frame."""
        self._told: str | None = None
        self._sent_at = 0.0
        self._frames = hub.metrics.frames.labels(transport)

    async def begin(self) -> None:
        """Have how things stand wait for the first frame."""
        await self._hub.want(self, self.topics)
        self._look(self.topics)

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Ask for more topics.

        Raises:
            ProblemError: One is not known, or there are too many.

        """
        new = read_topics(topics) - self.topics
        check_number(len(self.topics) + len(new))
        known = {topic for topic, _ in self._hub.tapes(self.topics)}
        await self._hub.want(self, new)
        self.topics |= new
        self._look(new, known)

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Ask for fewer topics.

        Raises:
            ProblemError: One is not known.

        """
        gone = read_topics(topics) & self.topics
        self.topics -= gone
        self._hub.leave(self, gone)
        paths = {path for path, _ in self._hub.snapshot(self.topics)}
        self.mailbox.keep(paths, {topic for topic, _ in self._hub.tapes(self.topics)})

    def put(self, path: Path, value: Value) -> None:
        """Take a value of the market lane."""
        self.mailbox.put(path, value)
        self.wake.set()

    def trade(self, topic: str, trades: list[bytes], count: int) -> None:
        """Take the last of so many trades that came."""
        self.mailbox.trade(topic, trades, count)
        self.wake.set()

    def event(self, before: Id) -> None:
        """Take note of an event right behind an id."""
        self.follower.waits(before)
        self.wake.set()

    async def news(self) -> None:
        """Wait until there may be something to send, and it is time to."""
        try:
            async with asyncio.timeout(MOVED_S):
                await self.wake.wait()
        except TimeoutError:
            self.wake.set()
        rest = self._sent_at + FLUSH_S - time.monotonic()
        if rest > 0:
            await asyncio.sleep(rest)

    async def frame(self) -> bytes | None:
        """Return the next frame; None if there is nothing to say after all."""
        self.wake.clear()
        taken = await self._taken()
        if taken.more and not self._hub.away:
            self.wake.set()
        if taken.reset:
            self._look(self.topics, {topic for topic, _ in self._hub.tapes(self.topics)})
        values, tapes = self.mailbox.drain(klines=not taken.more)
        cursor = self.follower.cursor
        due = self._told is None or time.monotonic() >= self._sent_at + MOVED_S
        moved = cursor != self._told and due
        if self.n and not (taken.events or taken.reset or values or tapes or moved):
            return None
        self.n += 1
        self._count(tapes.values(), reset=taken.reset)
        self._told, self._sent_at = cursor, time.monotonic()
        return frame(
            self.n, time.time_ns() // 1_000_000, cursor,
            events=taken.events, values=values, tapes=tapes, reset=taken.reset,
        )  # fmt: skip

    def _count(self, tapes: Iterable[Tape], *, reset: bool) -> None:
        metrics = self._hub.metrics
        replaced, dropped = self.mailbox.counted()
        self._frames.inc()
        metrics.coalesced.inc(replaced)
        metrics.dropped.labels("values").inc(dropped)
        metrics.dropped.labels("trades").inc(sum(tape.skipped for tape in tapes))
        metrics.resets.inc(reset)

    async def _taken(self) -> Taken:
        try:
            return await self.follower.take(self.topics)
        except (RedisError, OSError):
            return Taken(more=True)  # the status says so; asked again when it is back

    def _look(self, topics: frozenset[str], known: Collection[str] = ()) -> None:
        for path, value in self._hub.snapshot(topics):
            self.mailbox.put(path, value)
        for topic, trades in self._hub.tapes(topics):
            if topic not in known:
                self.mailbox.trade(topic, trades, len(trades))
        self.wake.set()
