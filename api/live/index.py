"""What streams there are, and who wants what comes to them."""

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Protocol

from redis.asyncio import Redis

from api.live.topics import Names, Route
from connectors.redis.keys import PATTERN, REGISTRY, StreamName, parse_key

_LOOK_ROUND = 10  # refreshes between two looks without a registry


class Wanting(Protocol):
    """One who asked for topics."""

    topics: frozenset[str]


class Streams:
    """The streams that there are.

    Args:
        bus: Redis; answers are text.

    """

    def __init__(self, bus: Redis) -> None:
        self._bus = bus
        self._known = -1
        self._refreshes = 0
        self.named: dict[str, StreamName] = {}
        self.names = Names()
        self.version = 0
        """Another number after each change."""
        self._routes: dict[str, Route | None] = {}

    def of(self, kinds: Collection[str]) -> list[str]:
        """Return the names of the streams of some kinds."""
        return [name for name, stream in self.named.items() if stream.kind in kinds]

    def route(self, name: str) -> Route | None:
        """Return where a stream's entries go."""
        if name not in self._routes:
            stream = self.named.get(name) or parse_key(name)
            self._routes[name] = self.names.route(stream) if stream else None
        return self._routes[name]

    async def refresh(self, *, thoroughly: bool = False) -> None:
        """Look for streams; those that were there once stay known.

        The list that writers keep is read when its length changed. Where it is not kept (nobody
        must) all keys are looked through from time to time.
        """
        told: Any = await self._bus.scard(REGISTRY)
        self._refreshes += 1
        rarely = not told and self._refreshes % _LOOK_ROUND == 1
        if not thoroughly and not rarely and told == self._known:
            return
        found: set[str] = set()
        if told:
            members: Any = await self._bus.smembers(REGISTRY)
            found.update(members)
        if thoroughly or not told:
            async for name in self._bus.scan_iter(match=PATTERN, count=1000, _type="stream"):
                found.add(str(name))
        self._known = told
        self._learn(found)

    def _learn(self, found: Iterable[str]) -> None:
        new = {name: parse_key(name) for name in sorted(found) if name not in self.named}
        ours = {name: stream for name, stream in new.items() if stream is not None}
        if not ours:
            return
        self.named |= ours
        self.names = Names({stream.key for stream in self.named.values()})
        self._routes.clear()
        self.version += 1


class Interest:
    """Who wants what."""

    def __init__(self) -> None:
        self._by_pattern: dict[str, set[Any]] = {}
        self._held: Counter[str] = Counter()
        self.version = 0
        """Another number after each change of what is wanted at all."""

    def add(self, one: Wanting, patterns: Iterable[str]) -> None:
        """Note that somebody wants these topics."""
        for pattern in patterns:
            if pattern not in self._by_pattern:
                self._by_pattern[pattern] = set()
                self.version += 1
            self._by_pattern[pattern].add(one)

    def remove(self, one: Wanting, patterns: Iterable[str]) -> None:
        """Note that somebody does not, any more."""
        for pattern in patterns:
            those = self._by_pattern.get(pattern, set())
            those.discard(one)
            if not those and pattern in self._by_pattern:
                del self._by_pattern[pattern]
                self.version += 1

    @contextlib.contextmanager
    def held(self, patterns: Collection[str]) -> Iterator[None]:
        """Have topics count as wanted though nobody is told of them yet."""
        self._held.update(patterns)
        self.version += 1
        try:
            yield
        finally:
            self._held.subtract(patterns)
            self._held = +self._held

    def wants(self, patterns: Iterable[str]) -> bool:
        """Whether anybody wants what goes by one of these."""
        return any(p in self._by_pattern or p in self._held for p in patterns)

    def of(self, patterns: Iterable[str]) -> set[Any]:
        """Return who does."""
        found: set[Any] = set()
        for pattern in patterns:
            found |= self._by_pattern.get(pattern, set())
        return found
