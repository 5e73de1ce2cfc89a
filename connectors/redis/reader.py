"""Reads what was published: the newest entries, or all that come, of one kind or more."""

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from connectors.redis.keys import PATTERN, StreamName, parse_key
from core.market.errors import ServiceError

_BLOCK_MS = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream."""

    stream: StreamName
    id: str
    fields: dict[str, str]


class Reader:
    """Reads streams without a consumer group: for people, dashboards and tests."""

    def __init__(self, url: str) -> None:
        try:
            self._client = redis.Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=10.0,  # above the time a read may block
                socket_connect_timeout=2.0,
                health_check_interval=15,
                retry=Retry(ExponentialWithJitterBackoff(), 3),
            )
            self._client.ping()
        except (redis.RedisError, ValueError, OSError) as error:
            hint = "is the flow running, is REDIS_URL right?"
            raise ServiceError("redis", str(error), hint=hint) from None

    def streams(
        self,
        kinds: Collection[str],
        *,
        symbols: Collection[str] = (),
        intervals: Collection[str] = (),
    ) -> list[str]:
        """Return the names of the streams of these kinds, sorted; empty filters take all."""
        found = []
        for name in self._client.scan_iter(match=PATTERN, count=1000, _type="stream"):
            said = parse_key(name)
            if said is None or said.kind not in kinds:
                continue
            symbol = said.key.partition(":")[2]
            if symbols and symbol not in symbols and said.key not in symbols:
                continue
            if not intervals or not said.interval or said.interval in intervals:
                found.append(name)
        return sorted(found)

    def newest(self, names: Iterable[str], count: int) -> list[Entry]:
        """Return the newest `count` entries of these streams together, oldest first."""
        found: list[Entry] = []
        for name in names:
            rows: Any = self._client.xrevrange(name, count=count)
            found += [_entry(name, entry_id, fields) for entry_id, fields in rows]
        found.sort(key=_order)
        return found[-count:] if count else []

    def follow(self, since: dict[str, str]) -> Iterator[list[Entry]]:
        """Yield what comes to these streams after the given ids, in lists; some are empty.

        `since` is moved on, so that its owner may add streams between two lists.
        """
        while True:
            entries: list[Entry] = []
            for name, rows in self._read(since):
                entries += [_entry(name, entry_id, fields) for entry_id, fields in rows]
                if rows:
                    since[name] = rows[-1][0]
            yield sorted(entries, key=_order)

    def _read(self, since: dict[str, str]) -> list[tuple[str, list[Any]]]:
        if not since:
            time.sleep(_BLOCK_MS / 1000)  # as long as a read would block
            return []
        wanted: dict[Any, Any] = dict(since)
        answer: Any = self._client.xread(wanted, count=500, block=_BLOCK_MS)
        if isinstance(answer, dict):  # RESP3
            return [(name, pages[0]) for name, pages in answer.items()]
        return [(name, rows) for name, rows in answer or []]

    def last_id(self, name: str) -> str:
        """Return the id of a stream's newest entry, ``0-0`` if there is none."""
        rows: Any = self._client.xrevrange(name, count=1)
        return str(rows[0][0]) if rows else "0-0"

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def _entry(name: str, entry_id: str, fields: dict[str, str]) -> Entry:
    said = parse_key(name) or StreamName(name, "")
    return Entry(said, entry_id, dict(fields))


def _order(entry: Entry) -> tuple[int, int]:
    ms, _, seq = entry.id.partition("-")
    return int(ms), int(seq)
