"""The hub: reads Redis once for all clients of this process, and tells each what it asked for.

Four lanes run side by side for as long as the app does, each by itself through outages: the streams
that there are, the merging of event streams, the merged log, and the market.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.live.feed import FEED, KEEP, KINDS, Feed
from api.live.index import Interest, Streams
from api.live.mailbox import Path, Value
from api.live.market import Market
from api.live.ring import KEPT, Logged, Ring, read_logged
from api.live.session import Session
from api.live.tail import ZERO, Id, Tail, parse_id
from api.live.tasks import end
from api.live.ticker import Ticker
from api.live.topics import Names, Route
from api.metrics import ApiMetrics
from api.problems import ProblemError
from core.exchange.backoff import Backoff

LOG = logging.getLogger("cryptotools.api.live")

_BLOCK_MS = 500
_PAGE = 500
_LOOK_S = 0.4  # between two looks for new streams: with the read that is under way, a second
_MARKET_S = 0.1
_TICKER_S = 0.5
_PER_STREAM_S = 20e-6  # of a read: what naming a stream costs, five times
_GIVE_UP_S = 1.0


class Hub:
    """Live push for the clients of one process.

    Args:
        bus: Redis; answers are text.
        most: Clients at once.
        keep: Entries of the merged log, about.
        kept: Of those, how many are in memory.
        metrics: Where frames and clients are counted.

    """

    def __init__(
        self,
        bus: Redis,
        most: int,
        *,
        keep: int = KEEP,
        kept: int = KEPT,
        metrics: ApiMetrics | None = None,
    ) -> None:
        self.bus, self._most, self._kept = bus, most, kept
        self.metrics = metrics or ApiMetrics()
        self._tail, self._streams, self._interest = Tail(bus), Streams(bus), Interest()
        self._feed = Feed(bus, keep)
        self._market = Market(
            bus, self._tail, self._streams, self._interest, self._publish, self._trade
        )
        self._ticker = Ticker(bus, self._streams, self._interest, self._publish)
        self._sessions: set[Session] = set()
        self._failing: dict[str, str] = {}
        self.ring: Ring | None = None
        self.epoch = 0

    @property
    def names(self) -> Names:
        """Of instruments, in topics."""
        return self._streams.names

    @property
    def away(self) -> bool:
        """Whether Redis does not answer as it should."""
        return bool(self._failing)

    @property
    def ready(self) -> bool:
        """Whether it follows what comes."""
        return self._feed.begun and self.ring is not None and not self.away

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._sessions)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read Redis as long as this is open; it need not be there."""
        lanes = {
            "streams": self._find,
            "feed": self._merge,
            "log": self._follow,
            "market": self._watch,
            "ticker": self._look,
        }
        tasks = [
            asyncio.create_task(self._keep_up(name, lane), name=f"live {name}")
            for name, lane in lanes.items()
        ]
        try:
            yield
        finally:
            await end(tasks)

    # ---- for clients ----

    @contextlib.asynccontextmanager
    async def session(
        self, topics: frozenset[str], cursor: Id | None, transport: str = "websocket"
    ) -> AsyncIterator[Session]:
        """Connect a client; its first frame will be how things stand.

        Raises:
            ProblemError: There are as many as there may be.

        """
        if len(self._sessions) >= self._most:
            raise ProblemError(
                503, f"{self._most} live clients are connected, which is the most",
                hint="try again later, or raise api.live_clients", headers={"Retry-After": "5"},
            )  # fmt: skip
        one = Session(self, topics, cursor, transport)
        clients = self.metrics.clients.labels(transport)
        self._sessions.add(one)
        clients.inc()
        try:
            await one.begin()
            yield one
        finally:
            self._sessions.discard(one)
            clients.dec()
            self.leave(one, one.topics)

    async def want(self, one: Session, topics: frozenset[str]) -> None:
        """Have a client get what comes for topics from here on, once it is known how they stand."""
        with self._interest.held(topics):
            if not self.away:
                with contextlib.suppress(RedisError, OSError, TimeoutError):
                    async with asyncio.timeout(_GIVE_UP_S):
                        await self._market.prime()
                        await self._ticker.prime(topics)
            self._interest.add(one, topics)

    def leave(self, one: Session, topics: frozenset[str]) -> None:
        """Have a client get no more of these."""
        self._interest.remove(one, topics)

    def snapshot(self, topics: frozenset[str]) -> Iterable[tuple[Path, Value]]:
        """Yield how values of the market lane stand."""
        yield from self._market.snapshot(topics)
        yield from self._ticker.snapshot(topics)

    def tapes(self, topics: frozenset[str]) -> Iterable[tuple[str, list[bytes]]]:
        """Yield the last trades by topic."""
        return self._market.tapes(topics)

    # ---- what comes ----

    def _publish(self, route: Route, path: Path, value: Value) -> None:
        for one in self._interest.of(route.patterns):
            one.put(path, value)

    def _trade(self, route: Route, trades: list[bytes], count: int) -> None:
        for one in self._interest.of(route.patterns):
            one.trade(route.topic, trades, count)

    def _dispatch(self, ring: Ring, entry: Logged) -> None:
        before = ring.end
        ring.append(entry)
        if entry.route is None:
            return
        interested = self._interest.of(entry.route.patterns)
        for one in interested:
            one.event(before)
        if entry.final is not None:
            for one in interested:
                one.mailbox.close(entry.route.topic, entry.final.opens_ms)
            self._market.closed(entry.route, entry.final)

    # ---- lanes ----

    async def _find(self) -> None:
        while True:
            await self._streams.refresh()
            self._up("streams")
            await asyncio.sleep(_LOOK_S)

    async def _merge(self) -> None:
        await self._tail.open()
        await self._streams.refresh(thoroughly=True)
        await self._feed.open(self._streams.of(KINDS), self._tail)
        version = -1
        while True:
            if version != self._streams.version:
                version = self._streams.version
                self._feed.follow(self._streams.of(KINDS))
            pages = await self._tail.read(self._feed.since, count=_PAGE, block_ms=_BLOCK_MS)
            if pages:
                await self._feed.merge(pages)
                await asyncio.sleep(max(0.005, _PER_STREAM_S * len(self._feed.since)))
            self._up("feed")

    async def _follow(self) -> None:
        self._begin_log(await self._last_id())
        while True:
            ring = self.ring
            if ring is None:
                return
            since = f"{ring.end[0]}-{ring.end[1]}"
            pages = await self._tail.read({FEED: since}, count=_PAGE, block_ms=_BLOCK_MS)
            for _, rows in pages:
                for row in rows:
                    self._dispatch(ring, read_logged(row, self.names))
            self._up("log")

    async def _watch(self) -> None:
        self._market.forget()
        while True:
            await self._market.poll()
            self._up("market")
            await asyncio.sleep(max(_MARKET_S, _PER_STREAM_S * 5 * self._market.streams))

    async def _look(self) -> None:
        while True:
            await self._ticker.poll()
            self._up("ticker")
            await asyncio.sleep(max(_TICKER_S, _PER_STREAM_S * 50 * len(self._streams.named) / 9))

    async def _last_id(self) -> Id | None:
        """Return where the log is to be followed from; None: from where it was."""
        if self.ring is not None:
            at = f"{self.ring.end[0]}-{self.ring.end[1]}"
            if await self.bus.xrange(FEED, min=at, max=at, count=1):
                return None
        rows: Any = await self.bus.xrevrange(FEED, count=1)
        return parse_id(rows[0][0] if rows else ZERO)

    def _begin_log(self, end: Id | None) -> None:
        # A server that comes back may have lost its newest entries: every place is looked up.
        for one in self._sessions:
            one.follower.unsettle()
        self.epoch += 1
        if end is not None:
            self.ring = Ring(end, self._kept)
        self._wake()

    def _wake(self) -> None:
        for one in self._sessions:
            one.wake.set()

    # ---- outages ----

    async def _keep_up(self, name: str, lane: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(random.Random(), base=0.1, cap=2.0, stable=5.0)
        while True:
            began = time.monotonic()
            try:
                await lane()
            except (RedisError, OSError) as error:
                self._down(name, str(error) or type(error).__name__)
            except Exception as error:
                LOG.exception("live push: %s failed, and begins anew", name)
                self._down(name, f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.05 + backoff.lost(lived=time.monotonic() - began))

    def _down(self, name: str, why: str) -> None:
        if not self._failing:
            LOG.warning("live push waits for redis: %s", why)
        self._failing[name] = why
        self._ticker.away(why)

    def _up(self, name: str) -> None:
        if self._failing.pop(name, None) is not None and not self._failing:
            LOG.warning("live push goes on")
            self._ticker.away("")
            self._wake()
