"""The market lane: forming klines, trades and equity of those symbols that somebody looks at.

Newest wins, so the work is bounded by how many symbols are looked at, not by how fast they are
traded: of trades the last few are read and the others counted.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from redis.asyncio import Redis

from api.live.index import Interest, Streams
from api.live.mailbox import TAPE, Path, Value
from api.live.rollover import Rollover
from api.live.tail import ZERO, Row, Tail
from api.live.topics import Route
from connectors.redis.keys import stream_key

_KINDS = ("forming", "equity", "trade")
_EQUITY = 500  # entries that are looked through for the newest of each instance
_COUNT = 1000

Publish = Callable[[Route, Path, Value], None]
Print = Callable[[Route, list[bytes], int], None]


class Market:
    """Reads what is wanted of the market lane.

    Args:
        bus: Redis; answers are text.
        tail: Reads streams.
        streams: Those that there are.
        interest: Who wants what.
        publish: Takes values that changed.
        trade: Takes the last of so many trades that came.

    """

    def __init__(
        self, bus: Redis, tail: Tail, streams: Streams, interest: Interest,
        publish: Publish, trade: Print,
    ) -> None:  # fmt: skip
        self._bus, self._tail = bus, tail
        self._streams, self._interest = streams, interest
        self._publish, self._trade = publish, trade
        self._seen = (-1, -1)
        self._lock = asyncio.Lock()
        self._since: dict[str, str] = {}
        self._added: dict[str, int] = {}  # entries of a stream of trades so far
        self._values: dict[str, dict[Path, Value]] = {}
        self._tapes: dict[str, deque[bytes]] = {}
        self._rollover = Rollover()

    @property
    def streams(self) -> int:
        """How many streams are read."""
        return len(self._since)

    def forget(self) -> None:
        """Begin anew, with what Redis has by then."""
        for name in list(self._since):
            self._drop(name)
        self._seen = (-1, -1)

    async def prime(self) -> None:
        """Read how things stand of what is wanted since a moment ago."""
        async with self._lock:
            now = (self._streams.version, self._interest.version)
            if now == self._seen:
                return
            wanted = {
                name
                for name in self._streams.of(_KINDS)
                if (route := self._streams.route(name)) and self._interest.wants(route.patterns)
            }
            for name in [name for name in self._since if name not in wanted]:
                self._drop(name)
            await self._begin([name for name in wanted if name not in self._since])
            self._seen = now

    async def poll(self) -> None:
        """Read what came."""
        await self.prime()
        prints = {name: at for name, at in self._since.items() if self._kind(name) == "trade"}
        others = {name: at for name, at in self._since.items() if name not in prints}
        if others:
            for name, rows in await self._tail.read(others, count=_COUNT):
                if name in self._since:  # somebody may have gone meanwhile
                    self._since[name] = rows[-1][0]
                    self._take(name, rows)
        if prints:
            await self._read_trades(prints)
        for topic, value in self._rollover.overdue(time.monotonic()):
            self._show_held(topic, value)

    def closed(self, route: Route, final: Value) -> None:
        """Take note of a final kline; what waited for it is shown."""
        name = stream_key(route.key, "forming", route.topic.rpartition("/")[2])
        values = self._values.get(name)
        if values is None:
            return
        standing = values.get((route.topic,))
        if standing is None or standing.opens_ms <= final.opens_ms:
            values[route.topic,] = final
        released = self._rollover.closed(route.topic, final.opens_ms)
        if released is not None:
            self._show_held(route.topic, released)

    def snapshot(self, topics: frozenset[str]) -> Iterable[tuple[Path, Value]]:
        """Yield how values stand."""
        for name, values in self._values.items():
            route = self._streams.route(name)
            if route is not None and not topics.isdisjoint(route.patterns):
                yield from values.items()

    def tapes(self, topics: frozenset[str]) -> Iterable[tuple[str, list[bytes]]]:
        """Yield the last trades by topic."""
        for name, tape in self._tapes.items():
            route = self._streams.route(name)
            if route is not None and tape and not topics.isdisjoint(route.patterns):
                yield route.topic, list(tape)

    def _kind(self, name: str) -> str:
        return self._streams.named[name].kind

    def _drop(self, name: str) -> None:
        del self._since[name]
        for kept in (self._added, self._values, self._tapes):
            kept.pop(name, None)
        route = self._streams.route(name)
        if route is not None and self._kind(name) == "forming":
            self._rollover.forget(route.topic)

    async def _begin(self, names: list[str]) -> None:
        pipe = self._bus.pipeline(transaction=False)
        for name in names:
            stream = self._streams.named[name]
            if stream.kind == "trade":
                pipe.xinfo_stream(name)
                pipe.xrevrange(name, count=TAPE)
            elif stream.kind == "forming":
                pipe.xrevrange(stream_key(stream.key, "kline", stream.interval), count=1)
                pipe.xrevrange(name, count=1)
            else:
                pipe.xrevrange(name, count=1)
                pipe.xrevrange(name, count=_EQUITY)
        answers: Any = await pipe.execute(raise_on_error=False) if names else []
        for n, name in enumerate(names):
            first, rows = answers[2 * n : 2 * n + 2]
            if not isinstance(rows, Exception) and not isinstance(first, Exception):
                self._begin_one(name, first, rows)

    def _begin_one(self, name: str, first: Any, rows: list[Row]) -> None:  # noqa: ANN401 - an answer has any shape
        kind, route = self._kind(name), self._streams.route(name)
        if route is None:
            return
        self._since[name] = rows[0][0] if rows else ZERO
        rows.reverse()
        if kind == "trade":
            self._added[name] = int(first["entries-added"])
            self._tapes[name] = deque((_json(fields) for _, fields in rows), maxlen=TAPE)
            self._trade(route, list(self._tapes[name]), len(rows))
        elif kind == "equity":
            self._values[name] = {}
            self._take(name, rows)
        else:
            self._begin_kline(name, route, first, rows)

    def _begin_kline(self, name: str, route: Route, final: list[Row], rows: list[Row]) -> None:
        # The forming kline may be of a window that is over: then the final one is how it stands.
        standing = [_kline(route, fields) for _, fields in [*final, *rows]]
        closed_ms = standing[0].opens_ms if final else -1
        if rows and standing[-1].opens_ms <= closed_ms:
            standing.pop()
        self._values[name] = {}
        shown_ms = -1
        if standing:
            shown_ms = standing[-1].opens_ms
            self._show(name, route, (route.topic,), standing[-1])
        self._rollover.begin(route.topic, shown_ms=shown_ms, closed_ms=closed_ms)

    def _take(self, name: str, rows: list[Row]) -> None:
        route = self._streams.route(name)
        if route is None:
            return
        if self._kind(name) == "equity":
            newest = {fields.get("instance", ""): fields for _, fields in rows}
            for instance, fields in newest.items():
                value = Value(_json({"key": route.key, **fields}))
                self._show(name, route, (route.topic, route.key, instance), value)
            return
        now = time.monotonic()
        shown = self._rollover.forming(route.topic, _kline(route, rows[-1][1]), now)
        if shown is not None:
            self._show(name, route, (route.topic,), shown)

    def _show(self, name: str, route: Route, path: Path, value: Value) -> None:
        self._values[name][path] = value
        self._publish(route, path, value)

    def _show_held(self, topic: str, value: Value) -> None:
        for name in self._values:
            route = self._streams.route(name)
            if route is not None and route.topic == topic and self._kind(name) == "forming":
                self._show(name, route, (topic,), value)
                return

    async def _read_trades(self, since: dict[str, str]) -> None:
        pipe = self._bus.pipeline(transaction=not self._tail.split)
        for name, at in since.items():
            pipe.xrevrange(name, min=f"({at}", count=TAPE)
            pipe.xinfo_stream(name)
        answers: Any = await pipe.execute(raise_on_error=False)
        for n, name in enumerate(since):
            rows, told = answers[2 * n : 2 * n + 2]
            route = self._streams.route(name)
            gone = isinstance(rows, Exception) or isinstance(told, Exception)
            if gone or not rows or route is None or name not in self._since:
                continue
            came = max(len(rows), int(told["entries-added"]) - self._added[name])
            self._added[name] += came
            self._since[name] = rows[0][0]
            trades = [_json(fields) for _, fields in reversed(rows)]
            self._tapes[name].extend(trades)
            self._trade(route, trades, came)


def _json(fields: dict[str, str]) -> bytes:
    return orjson.dumps(fields)


def _kline(route: Route, fields: dict[str, str]) -> Value:
    return Value(_json({"key": route.key, **fields}), int(fields.get("open_ms", -1)))
