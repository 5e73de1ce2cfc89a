"""Where a worker's entries come from: a consumer group, or whatever gives and takes like one."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import redis

from connectors.redis.codec import Entry, entry_of
from connectors.redis.keys import PATTERN, REGISTRY, parse_key

_LOOK_S = 2.0
_COUNT = 200


class Batch(Protocol):
    """Some entries; they come again unless they are acknowledged."""

    @property
    def entries(self) -> Sequence[Entry]:
        """What came, oldest first."""

    @property
    def missed(self) -> Sequence[str]:
        """What was gone before it could come, in words."""

    def ack(self) -> None:
        """Note that all of it is done; batches may be acknowledged in any order."""


class Feed(Protocol):
    """Gives batches; used by one thread. May raise `redis.RedisError` and `OSError`."""

    def poll(self, seconds: float) -> Batch | None:
        """Return the next batch; None if none comes in time."""

    def close(self) -> None:
        """Hang up."""


_Row = tuple[str, str, dict[str, str] | None]
"""Stream, id, fields; none where the entry is gone."""


@dataclass(frozen=True, slots=True)
class _Batch:
    entries: Sequence[Entry]
    missed: Sequence[str]
    ids: dict[str, list[str]]
    feed: "GroupFeed"

    def ack(self) -> None:
        self.feed.ack(self)


class GroupFeed:
    """Reads streams for a group, as its only consumer: first what was left, then what is new.

    A group that is not there yet begins with what comes from now on; streams that come later are
    read from their first entry on.

    Args:
        client: Gives a client.
        group: Its name.
        kinds: Kinds of streams.
        clock: Monotonic seconds.

    """

    def __init__(
        self,
        client: Callable[[], Any],
        group: str,
        kinds: Collection[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._group, self._kinds, self._clock = client, group, kinds, clock
        self._left: dict[str, str] = {}  # streams whose own entries are read again, above which id
        self._new: set[str] = set()
        self._look_at = float("-inf")
        self._begun = False

    def poll(self, seconds: float) -> Batch | None:
        """Return the next batch."""
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + _LOOK_S
            self._find()
        return self._unfinished() or self._fresh(seconds)

    def ack(self, batch: _Batch) -> None:
        """Acknowledge a batch."""
        for name, ids in batch.ids.items():
            self._client().xack(name, self._group, *ids)

    def close(self) -> None:
        """Nothing to hang up: the client is its owner's."""

    def _find(self) -> None:
        names = self._client().smembers(REGISTRY)
        if not names:
            names = self._client().scan_iter(match=PATTERN, count=1000, _type="stream")
        known = self._new | set(self._left)
        wanted = [n for n in names if n not in known and self._wants(n)]
        begun = self._begun or any(self._has_group(name) for name in wanted)
        self._left |= {name: "0" for name in wanted if self._make(name, "0" if begun else "$")}
        self._begun = True

    def _wants(self, name: str) -> bool:
        said = parse_key(name)
        return said is not None and said.kind in self._kinds

    def _has_group(self, name: str) -> bool:
        try:
            groups = self._client().xinfo_groups(name)
        except redis.ResponseError:
            return False  # listed, and not there
        return any(group["name"] == self._group for group in groups)

    def _make(self, name: str, start: str) -> bool:
        try:
            self._client().xgroup_create(name, self._group, id=start)
        except redis.ResponseError as error:
            if "requires the key to exist" in str(error):
                return False  # listed, and not there (yet)
            if not str(error).startswith("BUSYGROUP"):
                raise
        return True

    def _unfinished(self) -> _Batch | None:
        while self._left:
            name, above = next(iter(self._left.items()))
            found = self._read({name: above}, None)
            if found:
                self._left[name] = found[-1][1]
                return self._batch(found)
            if self._left.pop(name, None) is not None:
                self._new.add(name)
        return None

    def _fresh(self, seconds: float) -> _Batch | None:
        if not self._new:
            time.sleep(min(seconds, 0.1))
            return None
        found = self._read(dict.fromkeys(self._new, ">"), max(1, int(seconds * 1000)))
        return self._batch(found) if found else None

    def _read(self, above: dict[str, str], block: int | None) -> list[_Row]:
        try:
            answer = self._client().xreadgroup(
                self._group, self._group, above, count=_COUNT, block=block
            )
        except redis.ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            self._start_over()
            return []
        return [(name, *row) for name, rows in answer or [] for row in rows]

    def _start_over(self) -> None:
        # The server lost groups, or streams with them: what it has from now on is new.
        for name in [*self._new, *self._left]:
            if not self._make(name, "0"):
                self._new.discard(name)
                self._left.pop(name, None)

    def _batch(self, found: list[_Row]) -> _Batch:
        ids: dict[str, list[str]] = {}
        gone: Counter[str] = Counter()
        entries: list[Entry] = []
        for name, entry_id, fields in found:
            ids.setdefault(name, []).append(entry_id)
            if fields:
                entries.append(entry_of(name, entry_id, fields))
            else:
                gone[name] += 1
        missed = [f"{count} entries of {name} were trimmed" for name, count in gone.items()]
        return _Batch(sorted(entries, key=lambda one: one.order), missed, ids, self)
