"""What a consumer is given next: first what it had not finished, then what others left, then news.

Entries that were handed out more than half as often as allowed come alone, so that one that
cannot be processed does not take others with it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from connectors.redis.codec import entry_of
from subscribers.dead import bury
from subscribers.entries import Delivery, Missed, order
from subscribers.groups import GroupLink
from subscribers.look import FIRST, Row, Waiting
from subscribers.stand import before
from subscribers.streams import Streams

_AT_ONCE = 64
"""Streams of one batch, and of one search for what others left."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is handed out.

    Attributes:
        batch: Entries at once.
        idle_ms: After which time an entry is taken over from whoever does not acknowledge it.
        deliveries: How often an entry is handed out; 0: without a bound.

    """

    batch: int
    idle_ms: int
    deliveries: int


class Intake:
    """Fetches for one consumer; every method may raise `redis.RedisError`.

    Args:
        link: Of the group.
        streams: Which ones, and where the group stands.
        limits: How much.
        clock: Monotonic seconds.

    """

    def __init__(
        self, link: GroupLink, streams: Streams, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._link, self._streams, self._limits, self._clock = link, streams, limits, clock
        self._own: dict[str, str] = {}  # by stream, above which id its own entries come again
        self._search: list[str] = []  # streams still to be searched for what others left
        self._search_at = float("-inf")
        self._turn = 0

    def fetch(self, seconds: float) -> tuple[list[Delivery], list[Missed]]:
        """Return what comes next; nothing if nothing comes in so many seconds."""
        self._streams.tend()
        self._own |= dict.fromkeys(self._streams.held, FIRST)
        self._streams.held.clear()
        found = self._unfinished() or self._left_by_others()
        if not found and not self._streams.missed:
            found = self._new(seconds)
        missed, self._streams.missed = self._streams.missed, []
        return sorted(found, key=lambda delivery: order(delivery.id)), missed

    def again(self, firsts: Mapping[str, str]) -> None:
        """Hand out again what this consumer holds of these streams, from these ids on."""
        for name, first in firsts.items():
            above = before(first)
            known = self._own.get(name, above)
            self._own[name] = min(above, known, key=order)

    def start_over(self) -> None:
        """Hand out again all that this consumer holds: an answer may have been lost."""
        self._own |= dict.fromkeys(self._streams.stands, FIRST)
        self._streams.forget_times()
        self._search_at = float("-inf")

    def _unfinished(self) -> list[Delivery]:
        while self._own:
            name, after = next(iter(self._own.items()))
            held = self._link.own(name, after, self._limits.batch)
            if not held:
                del self._own[name]
                continue
            some = self._alone_if_suspect(held)
            self._own[name] = some[-1].id
            found = self._claimed(name, some, 0)
            if found or self._streams.missed:
                return found
        return []

    def _left_by_others(self) -> list[Delivery]:
        now, idle_ms = self._clock(), self._limits.idle_ms
        if now >= self._search_at:
            self._search_at = now + idle_ms / 2000
            self._search = sorted(self._streams.stands)
        while self._search:
            some = self._search[-_AT_ONCE:]
            idle = self._link.waiting(some, idle_ms, self._limits.batch)
            left = {name: waiting for name, waiting in idle.items() if waiting}
            for name, waiting in left.items():
                found = self._claimed(name, self._alone_if_suspect(waiting), idle_ms)
                if found or self._streams.missed:
                    return found
            if not left:
                del self._search[-len(some) :]
        return []

    def _new(self, seconds: float) -> list[Delivery]:
        streams = self._streams
        ready = self._link.ready(streams.above(), seconds)
        if not ready:
            return []
        self._turn = (self._turn + 1) % len(ready)
        some = (ready[self._turn :] + ready[: self._turn])[: min(_AT_ONCE, self._limits.batch)]
        # What is missing is told before the group moves on: if we die of it, it is told again.
        streams.look_at_risky(some)
        some = [name for name in some if name in streams.stands]
        if streams.missed or not some:
            return []
        each = max(1, self._limits.batch // len(some))
        found: list[Delivery] = []
        for name, (look, rows) in self._link.take(dict.fromkeys(some, each)).items():
            streams.saw(name, look)
            if rows:
                streams.stands[name].last = rows[-1][0]
                found += _deliveries(name, rows)
        return found

    def _alone_if_suspect(self, waiting: Sequence[Waiting]) -> Sequence[Waiting]:
        limit = self._limits.deliveries
        if not limit:
            return waiting
        suspects = (n for n, one in enumerate(waiting) if 2 * one.deliveries > limit)
        return waiting[: max(1, next(suspects, len(waiting)))]

    def _claimed(self, name: str, waiting: Sequence[Waiting], idle_ms: int) -> list[Delivery]:
        rows, gone, look = self._link.claim(name, [one.id for one in waiting], idle_ms)
        if gone:
            after = before(gone[0])
            why = "trimmed away before they were acknowledged"
            next_id = "" if look is None else look.first
            self._streams.untell([Missed(name, len(gone), after, next_id, why)])
        counts = {one.id: one.deliveries for one in waiting}
        found = _deliveries(name, rows, counts)
        limit = self._limits.deliveries
        if limit and len(found) == 1 and found[0].deliveries > limit:
            bury(self._link, found[0], f"handed out {limit} times and never acknowledged")
            return []
        return found


def _deliveries(
    name: str, rows: Iterable[Row], counts: Mapping[str, int] | None = None
) -> list[Delivery]:
    before_ = counts or {}
    return [Delivery(name, entry_of(name, *row), before_.get(row[0], 0) + 1) for row in rows]
