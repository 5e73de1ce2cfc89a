"""Reads what was published: the newest entries, or all that come, of one kind or more."""

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from connectors.redis.codec import Entry, entry_of
from connectors.redis.keys import KINDS, PATTERN, REGISTRY, StreamName, parse_key
from core.market.errors import ServiceError

__all__ = ["Entry", "Reader"]

_BLOCK_MS = 1000
_TIMEOUT_S = 10.0  # above the time that a read may block
_PAGE = 500
_LONG_PAGE = 5000


class Reader:
    """Reads streams without a consumer group: for people, dashboards and tests.

    Every method raises `ServiceError` when Redis is not there for longer than a few retries.

    Args:
        url: An address.
        sleep: Waits while there is no stream to follow.

    """

    def __init__(self, url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        with _explained():
            self._client = redis.Redis.from_url(
                url,
                decode_responses=True,
                protocol=2,
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=2.0,
                health_check_interval=15,
                retry=Retry(ExponentialWithJitterBackoff(), 3),
            )
            self._client.ping()

    def discover(
        self,
        kinds: Collection[str] = KINDS,
        *,
        symbols: Collection[str] = (),
        intervals: Collection[str] = (),
    ) -> list[str]:
        """Return the names of the streams of these kinds, sorted; empty filters take all.

        A symbol may be written with its exchange or without.
        """

        def wanted(said: StreamName | None) -> bool:
            if said is None or said.kind not in kinds:
                return False
            if symbols and not {said.key, said.key.partition(":")[2]} & set(symbols):
                return False
            return not intervals or not said.interval or said.interval in intervals

        with _explained():
            return sorted(name for name in self._names() if wanted(parse_key(name)))

    def latest(
        self,
        kind: str,
        count: int,
        *,
        symbols: Collection[str] = (),
        intervals: Collection[str] = (),
    ) -> list[Entry]:
        """Return the newest `count` entries of a kind, of all its streams together."""
        return self.newest(self.discover((kind,), symbols=symbols, intervals=intervals), count)

    def newest(self, names: Iterable[str], count: int) -> list[Entry]:
        """Return the newest `count` entries of these streams together, oldest first."""
        if count < 1:
            return []
        found: list[Entry] = []
        with _explained():
            for name in names:
                rows: Any = self._client.xrevrange(name, count=count)
                found += [entry_of(name, *row) for row in rows]
        return sorted(found, key=lambda entry: entry.order)[-count:]

    def entries(self, name: str) -> Iterator[Entry]:
        """Yield all that a stream still holds, oldest first."""
        start = "-"
        while True:
            with _explained():
                rows: Any = self._client.xrange(name, min=start, count=_LONG_PAGE)
            yield from (entry_of(name, *row) for row in rows)
            if len(rows) < _LONG_PAGE:
                return
            start = f"({rows[-1][0]}"

    def last_id(self, name: str) -> str:
        """Return the id of a stream's newest entry, ``0-0`` if there is none."""
        with _explained():
            rows: Any = self._client.xrevrange(name, count=1)
        return str(rows[0][0]) if rows else "0-0"

    def follow(self, since: dict[str, str]) -> Iterator[list[Entry]]:
        """Yield what comes to these streams after the given ids, in lists; some are empty.

        `since` is moved on, so that its owner may add streams between two lists. A list comes
        after a second at the latest.
        """
        while True:
            entries: list[Entry] = []
            for name, rows in self._read(since):
                entries += [entry_of(name, *row) for row in rows]
                if rows:
                    since[name] = rows[-1][0]
            yield sorted(entries, key=lambda entry: entry.order)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _names(self) -> Iterable[str]:
        # The registry is written beside the entries, as well as it goes; without one, look around.
        registered: Any = self._client.smembers(REGISTRY)
        if registered:
            return list(registered)
        return self._client.scan_iter(match=PATTERN, count=1000, _type="stream")

    def _read(self, since: dict[str, str]) -> list[Any]:
        if not since:
            self._sleep(_BLOCK_MS / 1000)
            return []
        wanted: dict[Any, Any] = dict(since)
        with _explained():
            answer: Any = self._client.xread(wanted, count=_PAGE, block=_BLOCK_MS)
        return list(answer or [])


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, ValueError, OSError) as error:
        hint = "is the flow running, is REDIS_URL right?"
        raise ServiceError("redis", str(error), hint=hint) from None
