"""Publishes records: each once, in order, through crashes of either side.

    records ─► unsent ──one call per instrument──► Redis ─► held ──hold_seconds──► forgotten
                 ▲                                             │
                 └──────────── a new connection sends again ───┘   (the server drops what it has)

The outbox (held and unsent) is the sink's snapshot. While Redis is away rows wait in it up to a
bound; beyond that `publish` blocks, which is back-pressure for the whole flow.
"""

import logging
import random
import time
from collections import deque
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeAlias, cast

import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.redis.codec import Record, Row, Target, rows_of
from connectors.redis.config import RedisConfig
from connectors.redis.keys import meta_key, stream_key
from connectors.shutdown import STOP
from core.exchange.backoff import Backoff, Dice
from core.market.errors import ServiceError
from telemetry import metrics

LOG = logging.getLogger("cryptotools.redis")

Entry: TypeAlias = tuple[Target, Row]
Snapshot: TypeAlias = list[tuple[str, str, str, str, str, list[str]]]
"""Rows of the outbox: (key, kind, interval, seq, ms, fields)."""

_CALL_ROWS = 500
"""Rows per call: 500 keep a server busy for 2-4 ms."""
_CLOSE_S = 10.0

# redis-py strips the prefix of an error's text and tells by class; some are ConnectionErrors.
_FATAL = (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError)
_AWAY = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.TryAgainError,
)
_FULL = ("NOREPLICAS", "MISCONF", "BUSY")


class Writer:
    """One connection and one outbox; not for several threads.

    Args:
        config: With an address in `url`.
        clock: Monotonic seconds.
        dice: For the jitter of retries.
        sleep: Waits while the backlog is full.

    """

    def __init__(
        self,
        config: RedisConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Dice | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config = config
        self._clock = clock
        self._sleep = sleep
        self._backoff = Backoff(dice or random.Random(), base=0.02, cap=2.0, stable=1.0)
        self._client: redis.Redis | None = None
        self._generations: dict[str, str] = {}
        self._unsent: dict[str, deque[Entry]] = {}
        self._waiting = 0
        self._held: deque[tuple[float, str, list[Entry]]] = deque()
        self._again_at = 0.0
        self._connected_at = 0.0
        self._away = False

    @property
    def backlog(self) -> int:
        """Rows that Redis has not taken yet."""
        return self._waiting

    def publish(self, record: Record) -> None:
        """Add a record to the outbox; `flush` sends it."""
        target, rows = rows_of(record)
        waiting = self._unsent.setdefault(record.key, deque())
        waiting.extend((target, row) for row in rows)
        self._waiting += len(rows)

    def flush(self) -> None:
        """Send what waits, if Redis is there; block only while the backlog is full.

        Raises:
            ServiceError: Another writer took over, or Redis refuses us for good.

        """
        self._try()
        while self._waiting > self._config.max_backlog and not STOP.is_set():
            self._sleep(0.02)
            self._try()

    def snapshot(self) -> Snapshot:
        """Return the outbox: what Redis may not have, or may forget in a crash of its own."""
        self._try()
        self._forget()
        held = [(key, entry) for _, key, entries in self._held for entry in entries]
        unsent = [(key, entry) for key, entries in self._unsent.items() for entry in entries]
        return [(key, *target, *row) for key, (target, row) in held + unsent]

    def restore(self, state: Snapshot) -> None:
        """Take over an outbox; all of it is sent again."""
        for key, kind, interval, seq, ms, fields in state:
            self._unsent.setdefault(key, deque()).append(
                (Target(kind, interval), (seq, ms, fields))
            )
            self._waiting += 1

    def close(self) -> None:
        """Send what waits, for some seconds at most, and hang up."""
        until = self._clock() + _CLOSE_S
        while self._waiting and self._clock() < until:
            self._again_at = 0.0
            self._try()
            if self._waiting:
                self._sleep(0.05)
        if self._waiting:
            LOG.error("%d rows could not be published: Redis is away", self._waiting)
        self._hang_up()

    # ---- sending ----

    def _try(self) -> None:
        if not self._waiting or self._clock() < self._again_at:
            return
        try:
            client = self._connect()
            while self._waiting:
                self._send(client)
        except (redis.RedisError, OSError) as error:
            self._failed(error)
            return
        if self._away:
            LOG.warning("redis is back; the backlog is published")
            self._away = False

    def _failed(self, error: Exception) -> None:
        told = str(error)
        if isinstance(error, _FATAL):
            hint = "check the user, the password and the ACL of REDIS_URL"
            raise ServiceError("redis", told, hint=hint) from None
        if told.startswith("FENCED"):
            hint = "another flow publishes the same symbols"
            raise ServiceError("redis", told, hint=hint) from None
        if isinstance(error, (*_AWAY, OSError)) or "unction not found" in told:
            self._hang_up()
        elif not isinstance(error, redis.exceptions.OutOfMemoryError) and not told.startswith(
            _FULL
        ):
            raise ServiceError("redis", told) from error
        self._later(error)

    def _later(self, error: Exception) -> None:
        lived = self._clock() - self._connected_at if self._connected_at else 0.0
        self._again_at = self._clock() + self._backoff.lost(lived=lived)
        if not self._away:
            LOG.warning("redis is away (%s); rows wait", error)
        self._away = True

    def _connect(self) -> redis.Redis:
        if self._client is None:
            timeout = self._config.timeout
            # One connection of our own and no hidden retries: a new one means that the server may
            # have forgotten its newest rows, so the outbox is sent again.
            client = redis.Redis.from_url(
                self._config.url or "",
                socket_timeout=timeout,
                socket_connect_timeout=min(timeout, 2.0),
                retry=Retry(NoBackoff(), 0),
                single_connection_client=True,
            )
            _load(client)
            self._client = client
            self._connected_at = self._clock()
            self._resend()
        return self._client

    def _resend(self) -> None:
        for _, key, entries in reversed(self._held):
            self._unsent.setdefault(key, deque()).extendleft(reversed(entries))
            self._waiting += len(entries)
        self._held.clear()

    def _send(self, client: redis.Redis) -> None:
        parts = {
            key: [entries[n] for n in range(min(len(entries), _CALL_ROWS))]
            for key, entries in self._unsent.items()
            if entries
        }
        self._open(client, parts)
        pipe = client.pipeline(transaction=False)
        calls = []
        for key, entries in parts.items():
            streams = _by_stream(entries)
            calls.append((key, entries, streams))
            self._call(pipe, key, streams)
        answers = pipe.execute(raise_on_error=False)
        failure: Exception | None = None
        for (key, entries, streams), answer in zip(calls, answers, strict=True):
            if isinstance(answer, Exception):
                failure = answer
            else:
                self._taken(key, entries, streams, cast("list[int]", answer))
        if failure is not None:
            raise failure

    def _open(self, client: redis.Redis, keys: dict[str, list[Entry]]) -> None:
        for key in keys:
            if key not in self._generations:
                generation = client.fcall("ct_open_1", 1, meta_key(key))
                self._generations[key] = str(generation)

    def _call(
        self, pipe: "redis.client.Pipeline", key: str, streams: dict[Target, list[Row]]
    ) -> None:
        names = [stream_key(key, *target) for target in streams]
        arguments: list[Any] = [self._generations[key]]
        for target, rows in streams.items():
            forming = target.kind == "forming"
            arguments.append(self._config.keep_forming if forming else self._config.keep)
            arguments.append(orjson.dumps(rows))
        pipe.fcall("ct_pub_1", 1 + len(names), meta_key(key), *names, *arguments)

    def _taken(
        self, key: str, entries: list[Entry], streams: dict[Target, list[Row]], counts: list[int]
    ) -> None:
        waiting = self._unsent[key]
        for _ in entries:
            waiting.popleft()
        self._waiting -= len(entries)
        if self._config.hold_seconds:
            self._held.append((self._clock(), key, entries))
        for n, target in enumerate(streams):
            added, known, refused = counts[3 * n : 3 * n + 3]
            metrics.PUBLISHED.labels(target.kind).inc(added)
            metrics.PUBLISH_DUPLICATES.labels(target.kind).inc(known)
            if refused:
                name = stream_key(key, *target)
                LOG.error("%d rows of %s clash with ids of another writer", refused, name)

    def _forget(self) -> None:
        # A row leaves only if the connection that took it still lives: the server has not been
        # restarted since.
        due = self._clock() - self._config.hold_seconds
        if not self._held or self._held[0][0] > due or self._client is None:
            return
        try:
            self._client.ping()
        except (redis.RedisError, OSError) as error:
            self._hang_up()
            self._later(error)
            return
        while self._held and self._held[0][0] <= due:
            self._held.popleft()

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _by_stream(entries: list[Entry]) -> dict[Target, list[Row]]:
    streams: dict[Target, list[Row]] = {}
    for target, row in entries:
        streams.setdefault(target, []).append(row)
    return streams


def _load(client: redis.Redis) -> None:
    code = files("connectors.redis").joinpath("publish.lua").read_text("utf-8")
    library = code.partition("name=")[2].partition("\n")[0]
    if not client.function_list(library):
        client.function_load(code, replace=True)
