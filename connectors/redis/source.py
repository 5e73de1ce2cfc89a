"""Bytewax shell over streams: for flows that go on where another one published."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.redis.keys import StreamName, parse_key
from connectors.redis.reader import Entry
from connectors.shutdown import STOP
from core.market.errors import ConfigError

_IDLE = timedelta(milliseconds=5)
_COUNT = 1000


class StreamPartition(StatefulSourcePartition[tuple[str, Entry], str]):
    """Reads one stream; its snapshot is the id of the last entry handed out."""

    def __init__(self, url: str, name: str, since: str) -> None:
        self._client = redis.Redis.from_url(url, decode_responses=True, socket_timeout=10.0)
        self._name = name
        self._said = parse_key(name) or StreamName(name, "")
        self._last = since
        self._awake: datetime | None = None

    def next_batch(self) -> list[tuple[str, Entry]]:
        """Return the next entries; asks without BLOCK, which would stop the whole worker."""
        if STOP.is_set():
            raise StopIteration
        rows: Any = self._client.xrange(self._name, min=f"({self._last}", count=_COUNT)
        if not rows:
            self._awake = datetime.now(UTC) + _IDLE
            return []
        self._awake = None
        self._last = rows[-1][0]
        return [(self._said.key, Entry(self._said, entry_id, fields)) for entry_id, fields in rows]

    def next_awake(self) -> datetime | None:
        """Say when to ask again."""
        return self._awake

    def snapshot(self) -> str:
        """Return the last id handed out."""
        return self._last

    def close(self) -> None:
        """Hang up."""
        self._client.close()


class StreamSource(FixedPartitionedSource[tuple[str, Entry], str]):
    """Entries of streams, one partition each, from `since` on (``0-0``: all that is kept)."""

    def __init__(self, url: str, names: Sequence[str], *, since: str = "0-0") -> None:
        for name in names:
            if parse_key(name) is None:
                raise ConfigError("stream", f"`{name}` is no stream of ours")
        self._url = url
        self._names = names
        self._since = since

    def list_parts(self) -> list[str]:
        """Return the names of the streams."""
        return sorted(self._names)

    def build_part(self, _step_id: str, for_part: str, resume_state: str | None) -> StreamPartition:
        """Return a stream's partition, going on behind its snapshot."""
        return StreamPartition(self._url, for_part, resume_state or self._since)
