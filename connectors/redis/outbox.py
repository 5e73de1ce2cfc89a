"""The rows that Redis does not have, or may forget: a queue per instrument, and no I/O.

    add ─► unsent ──taken──► held ──forget──► gone
              ▲                │
              └────resend──────┘      a new connection: the server may be an older self

Order is kept per instrument. That matters: the server drops a row whose number is not above the
newest it has, so a row must never be sent after a later one that it has not seen before.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple, TypeAlias

from connectors.redis.codec import Row, Target

Item: TypeAlias = tuple[Target, Row]
Snapshot: TypeAlias = list[tuple[str, str, str, Row]]
"""Rows of the outbox: (key, kind, interval, row)."""


class _Held(NamedTuple):
    taken_at: float
    key: str
    items: list[Item]


class Outbox:
    """Unsent and held rows; `len` counts both."""

    def __init__(self) -> None:
        self._unsent: dict[str, deque[Item]] = {}
        self._held: deque[_Held] = deque()
        self._held_rows = 0
        self._taken: dict[str, int] = {}
        self.unsent = 0

    def __len__(self) -> int:
        return self.unsent + self._held_rows

    @property
    def oldest_held(self) -> float | None:
        """When the oldest held rows were taken."""
        return self._held[0].taken_at if self._held else None

    def add(self, key: str, target: Target, rows: Iterable[Row]) -> None:
        """Queue rows of a stream behind all others of their instrument."""
        queue = self._unsent.setdefault(key, deque())
        before = len(queue)
        queue.extend((target, row) for row in rows)
        self.unsent += len(queue) - before

    def end(self, key: str) -> int:
        """Return the place behind the last row of an instrument, counted from the start."""
        return self.reached(key) + len(self._unsent.get(key, ()))

    def reached(self, key: str) -> int:
        """Return the place up to which the server has taken rows of an instrument."""
        return self._taken.get(key, 0)

    def next_calls(self, per_key: int, total: int) -> dict[str, list[Item]]:
        """Return the oldest unsent rows, at most so many per instrument, about so many in all."""
        calls: dict[str, list[Item]] = {}
        room = total
        for key, queue in self._unsent.items():
            if queue and room > 0:
                calls[key] = list(islice(queue, per_key))
                room -= len(calls[key])
        return calls

    def taken(self, key: str, items: list[Item], at: float, *, hold: bool) -> None:
        """Note that the server took these rows, which `next_calls` gave."""
        queue = self._unsent[key]
        for _ in items:
            queue.popleft()
        self.unsent -= len(items)
        self._taken[key] = self.reached(key) + len(items)
        if hold:
            self._held.append(_Held(at, key, items))
            self._held_rows += len(items)

    def resend(self) -> None:
        """Queue the held rows again, before the unsent ones."""
        while self._held:
            _, key, items = self._held.pop()
            self._unsent[key].extendleft(reversed(items))
            self.unsent += len(items)
            self._taken[key] -= len(items)
        self._held_rows = 0

    def forget(self, until: float) -> None:
        """Drop the rows that were taken at or before that time."""
        while self._held and self._held[0].taken_at <= until:
            self._held_rows -= len(self._held.popleft().items)

    def snapshot(self) -> Snapshot:
        """Return all rows, per instrument in their order."""
        held = [(h.key, item) for h in self._held for item in h.items]
        unsent = [(key, item) for key, queue in self._unsent.items() for item in queue]
        return [(key, *target, row) for key, (target, row) in held + unsent]

    def restore(self, rows: Snapshot) -> None:
        """Queue the rows of a snapshot."""
        for key, kind, interval, row in rows:
            self.add(key, Target(kind, interval), [row])
