"""Bytewax shell over streams: for flows that go on where another one published."""

import logging
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.redis.codec import Entry, entry_of
from connectors.redis.failures import Verdict, judge
from connectors.redis.keys import StreamName, parse_key
from connectors.shutdown import STOP
from core.exchange.backoff import Backoff, Dice
from core.market.errors import ConfigError, ServiceError

LOG = logging.getLogger("cryptotools.redis")

START = "0-0"
"""The id below all: from what is still kept on."""

_IDLE = timedelta(milliseconds=2)
_IDLE_MOST = timedelta(milliseconds=100)
_COUNT = 1000


class StreamPartition(StatefulSourcePartition[tuple[str, Entry], str]):
    """Reads one stream; its snapshot is the id of the last entry handed out.

    It never blocks the worker: no BLOCK, no sleep. A quiet stream is asked less and less often, an
    absent server again after a back-off.

    Args:
        client: Without retries of its own.
        name: The stream.
        since: The id to go on above.
        seen: Whether the entry of that id was read: then it is an error if it is gone.
        now: The time, UTC.
        dice: For the jitter of retries.

    """

    def __init__(
        self,
        client: redis.Redis,
        name: str,
        since: str,
        *,
        seen: bool,
        now: Callable[[], datetime],
        dice: Dice,
    ) -> None:
        self._client, self._name, self._last, self._now = client, name, since, now
        self._key = (parse_key(name) or StreamName(name, "")).key
        self._backoff = Backoff(dice, base=0.02, cap=2.0, stable=1.0)
        self._seen = seen
        self._idle = _IDLE
        self._awake: datetime | None = None
        self._well_since = now()
        self._away = False

    def next_batch(self) -> list[tuple[str, Entry]]:
        """Return the next entries.

        Raises:
            ServiceError: Redis refuses us for good.
            StopIteration: The process is to stop.

        """
        if STOP.is_set():
            raise StopIteration
        try:
            # From the last entry on, itself included: if it is not there, the stream was cut
            # behind our back.
            rows: Any = self._client.xrange(self._name, min=self._last, count=_COUNT + 1)
        except (redis.RedisError, OSError) as error:
            self._failed(error)
            return []
        if self._away:
            self._away, self._well_since = False, self._now()
        return self._handed_out(rows)

    def next_awake(self) -> datetime | None:
        """Say when to ask again."""
        return self._awake

    def snapshot(self) -> str:
        """Return the last id handed out."""
        return self._last

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _handed_out(self, rows: list[Any]) -> list[tuple[str, Entry]]:
        if rows and rows[0][0] == self._last:
            rows = rows[1:]
        elif self._seen:
            LOG.error("%s was cut above %s: entries may be missing", self._name, self._last)
            self._seen = False
        if not rows:
            self._awake = self._now() + self._idle
            self._idle = min(2 * self._idle, _IDLE_MOST)
            return []
        self._idle, self._awake = _IDLE, None
        self._last, self._seen = rows[-1][0], True
        return [(self._key, entry_of(self._name, *row)) for row in rows]

    def _failed(self, error: Exception) -> None:
        if judge(error) is not Verdict.RECONNECT:
            hint = "check the user, the password and the ACL of REDIS_URL"
            raise ServiceError("redis", str(error), hint=hint) from None
        lived = 0.0 if self._away else (self._now() - self._well_since).total_seconds()
        if not self._away:
            LOG.warning("redis is away, %s waits: %s", self._name, error)
        self._away = True
        self._awake = self._now() + timedelta(seconds=self._backoff.lost(lived=lived))


class StreamSource(FixedPartitionedSource[tuple[str, Entry], str]):
    """``(key, entry)`` of streams, one partition each.

    Args:
        url: An address.
        names: Streams, as `Reader.discover` or `stream_key` names them.
        since: The id to start above without a snapshot: ``0-0`` is all that is kept.

    """

    def __init__(self, url: str, names: Sequence[str], *, since: str = START) -> None:
        for name in names:
            if parse_key(name) is None:
                raise ConfigError("stream", f"`{name}` is no stream of ours")
        self._url, self._names, self._since = url, names, since

    def list_parts(self) -> list[str]:
        """Return the names of the streams."""
        return sorted(set(self._names))

    def build_part(self, _step_id: str, for_part: str, resume_state: str | None) -> StreamPartition:
        """Return a stream's partition, going on behind its snapshot."""
        client = redis.Redis.from_url(
            self._url,
            decode_responses=True,
            protocol=2,
            socket_timeout=5.0,
            socket_connect_timeout=2.0,
            retry=Retry(NoBackoff(), 0),
        )
        return StreamPartition(
            client,
            for_part,
            resume_state or self._since,
            seen=resume_state not in {None, self._since},
            now=lambda: datetime.now(UTC),
            dice=random.Random(),
        )
