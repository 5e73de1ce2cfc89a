"""A client's place in the event lane: nothing is skipped, nothing comes twice.

The place is an id of the merged log. Behind it, entries come from memory, or, for one who is
further behind, from Redis: a slow client costs no memory. A place whose entry Redis no longer has
is lost, and the client is told to fetch anew.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio import Redis

from api.live.feed import FEED
from api.live.ring import Logged, Ring, read_logged
from api.live.tail import ZERO, Id, parse_id
from api.live.topics import Names

_MOST = 500  # events of one frame
_PAGE = 500
_PAGES = 10  # read for one frame, where they hold nothing for this client


class Log(Protocol):
    """The merged log as the hub has it.

    Attributes:
        bus: Redis.
        ring: The newest entries; None: not known yet.
        epoch: Another number after each time that Redis was away.

    """

    bus: Redis
    ring: Ring | None
    epoch: int

    @property
    def names(self) -> Names:
        """Of instruments, in topics."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a client is given.

    Attributes:
        events: In order.
        reset: Whether some are lost.
        more: Whether more are known to wait.

    """

    events: tuple[Logged, ...] = ()
    reset: bool = False
    more: bool = False


class Follower:
    """Follows the merged log for one client.

    Args:
        log: What is followed.
        cursor: Where the client left off; None: it begins here and now.

    """

    def __init__(self, log: Log, cursor: Id | None) -> None:
        self._log = log
        self._at = cursor
        self._epoch = -1  # of the log in which the place is known to be one
        self._pending = True

    @property
    def cursor(self) -> str | None:
        """The place; None: not known yet."""
        self._skip()
        return None if self._at is None else f"{self._at[0]}-{self._at[1]}"

    def waits(self, before: Id) -> None:
        """Say that something for this client comes right behind an id.

        Until then its place moves along with the end of the log.
        """
        if not self._pending:
            self._at, self._pending = max(before, self._at or before), True

    def unsettle(self) -> None:
        """Have the place looked up again, before the log is replaced by another."""
        self._skip()
        self._pending = True

    async def take(self, topics: frozenset[str]) -> Taken:
        """Return what came for these topics since the last time."""
        ring = self._log.ring
        if ring is None:
            return Taken(more=self._at is not None)
        if self._at is None:
            self._settle(ring)
            return Taken()
        if not self._pending:
            return Taken()
        if self._epoch != self._log.epoch and ring.holds(self._at):
            self._epoch = self._log.epoch
        if self._epoch == self._log.epoch and ring.covers(self._at):
            return self._from_ring(ring, self._at, topics)
        return await self._from_redis(topics)

    def _skip(self) -> None:
        if not self._pending and self._log.ring is not None:
            self._at = max(self._log.ring.end, self._at or (0, 0))

    def _settle(self, ring: Ring) -> None:
        self._at, self._epoch, self._pending = ring.end, self._log.epoch, False

    def _from_ring(self, ring: Ring, at: Id, topics: frozenset[str]) -> Taken:
        found: list[Logged] = []
        for entry in ring.behind(at):
            if len(found) == _MOST:
                return _taken(found, more=True)
            self._at = entry.at
            if entry.is_for(topics):
                found.append(entry)
        self._pending = False
        return _taken(found, more=False)

    async def _from_redis(self, topics: frozenset[str]) -> Taken:
        found: list[Logged] = []
        for _ in range(_PAGES):
            epoch = self._log.epoch
            page = await self._page()
            if page is None:
                return self._lost()
            self._epoch = epoch
            for entry in page:
                self._at = entry.at
                if entry.is_for(topics):
                    found.append(entry)
            if found or len(page) < _PAGE:
                break
        return _taken(found, more=True)  # the rest, if there is any, is in memory

    async def _page(self) -> list[Logged] | None:
        """Return what comes behind the place; None if the place is no longer there."""
        at = self._at or (0, 0)
        text = f"{at[0]}-{at[1]}"
        rows: Any = await self._log.bus.xrange(FEED, min=text, count=_PAGE + 1)
        if text == ZERO:
            if rows and not await _begins_with(self._log.bus, rows[0][0]):
                return None
            return [read_logged(row, self._log.names) for row in rows[:_PAGE]]
        if not rows or parse_id(rows[0][0]) != at:
            return None
        return [read_logged(row, self._log.names) for row in rows[1:]]

    def _lost(self) -> Taken:
        ring = self._log.ring
        if ring is None:
            return Taken(more=True)
        self._settle(ring)
        return Taken(reset=True)


def _taken(found: list[Logged], *, more: bool) -> Taken:
    # Where entries of a stream were lost before they were merged, its place holds no event.
    events = tuple(entry for entry in found if entry.body)
    return Taken(events, len(events) < len(found), more)


async def _begins_with(bus: Redis, first: str) -> bool:
    told: Any = await bus.xinfo_stream(FEED)
    return bool(told["entries-added"] == told["length"] and told["first-entry"][0] == first)
