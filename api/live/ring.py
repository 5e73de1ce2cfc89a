"""The newest entries of the merged log, in memory: what most clients are sent comes from here."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from api.live.mailbox import Value
from api.live.tail import Id, Row, parse_id
from api.live.topics import Names, Route
from connectors.redis.keys import parse_key

KEPT = 2000
"""Entries; a client that is further behind is sent what is in Redis."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry of the merged log.

    Attributes:
        at: Its id.
        route: Where it goes; None: to nobody.
        body: The event as JSON; empty: entries of the stream were lost.
        final: Where it is a final kline, how the kline stands; else None.

    """

    at: Id
    route: Route | None
    body: bytes
    final: Value | None = None

    @property
    def cursor(self) -> str:
        """Its id as text."""
        return f"{self.at[0]}-{self.at[1]}"

    def is_for(self, topics: frozenset[str]) -> bool:
        """Whether one who asked for these gets it."""
        return self.route is not None and not topics.isdisjoint(self.route.patterns)


def read_logged(row: Row, names: Names) -> Logged:
    """Return an entry of the merged log as it was read."""
    entry, fields = row
    stream = parse_key(fields.get("s", ""))
    route = names.route(stream) if stream is not None else None
    text = fields.get("b", "")
    if stream is None or route is None or not text:
        return Logged(parse_id(entry), route, b"")
    body = orjson.dumps(
        {"topic": route.topic, "id": entry, "key": route.key, "fields": orjson.Fragment(text)}
    )
    final = None
    if stream.kind == "kline":
        kline = orjson.loads(text)
        final = Value(orjson.dumps({"key": route.key, **kline}), int(kline["open_ms"]))
    return Logged(parse_id(entry), route, body, final)


class Ring:
    """Entries in the order of the log.

    Args:
        start: The id behind which it begins.
        size: How many are kept.

    """

    def __init__(self, start: Id, size: int = KEPT) -> None:
        self._size = size
        self._entries: deque[Logged] = deque()
        self.start = start
        """Behind this id everything is here."""
        self.end = start
        """The newest."""

    def append(self, entry: Logged) -> None:
        """Add an entry; the oldest goes when there are too many."""
        self._entries.append(entry)
        self.end = entry.at
        if len(self._entries) > self._size:
            self.start = self._entries.popleft().at

    def covers(self, at: Id) -> bool:
        """Whether everything behind an id is here."""
        return at >= self.start

    def holds(self, at: Id) -> bool:
        """Whether an id is known to be of this log."""
        return at == self.start or any(entry.at == at for entry in self._entries)

    def behind(self, at: Id) -> Sequence[Logged]:
        """Return what came behind an id, oldest first."""
        found: list[Logged] = []
        for entry in reversed(self._entries):
            if entry.at <= at:
                break
            found.append(entry)
        found.reverse()
        return found
