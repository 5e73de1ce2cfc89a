"""Publishes records: each once, in order, through crashes of either side.

    records ─► outbox ──one call per instrument──► Redis: drops what it has, fences, adds, trims

The outbox is the writer's snapshot. While Redis is away rows wait in it up to a bound; beyond that
`publish` blocks, which is back-pressure for the whole flow.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import redis

from connectors.redis.calls import by_stream, publish_call
from connectors.redis.codec import Record, Row, Target, rows_of
from connectors.redis.config import RedisConfig
from connectors.redis.failures import Verdict, judge, worst
from connectors.redis.keys import REGISTRY, meta_key, stream_key
from connectors.redis.link import Link, durable_after, load_functions
from connectors.redis.ontheway import OnTheWay
from connectors.redis.outbox import Item, Outbox, Snapshot
from connectors.redis.trimming import TrimWatch
from connectors.shutdown import STOP
from core.exchange.backoff import Backoff, Dice
from core.market.errors import ConfigError, ServiceError
from core.market.trades import Trades
from telemetry import metrics
from telemetry.passage import PASSAGE

LOG = logging.getLogger("cryptotools.redis")

_ROUND_ROWS = 5000
"""Rows on their way at once: what a server with a slow disk takes well within the time-out."""
_PAUSE_S = 0.02


class _Told(NamedTuple):
    link: Link
    sent_at: float
    calls: dict[str, list[Item]]
    streams: dict[str, dict[Target, list[Row]]]


class Writer:
    """One connection and one outbox; not for several threads.

    Args:
        config: With an address in `url`.
        clock: Monotonic seconds.
        dice: For the jitter of retries.
        sleep: Waits while the outbox is full, and in `flush`.
        name: What its gauges are called.

    """

    def __init__(
        self,
        config: RedisConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Dice | None = None,
        sleep: Callable[[float], None] = time.sleep,
        name: str = "redis",
    ) -> None:
        if config.url is None:
            raise ConfigError("redis.url", "no address", hint="start an embedded server first")
        self._config, self._clock, self._sleep = config, clock, sleep
        self._backoff = Backoff(dice or random.Random(), base=0.02, cap=2.0, stable=1.0)
        self._outbox = Outbox()
        self._link: Link | None = None
        self._told: _Told | None = None  # the round that is on its way
        self._hold = 0.0
        # A generation is ours for as long as we live; connections come and go.
        self._generations: dict[str, str] = {}
        # Streams that this connection has added to: what is dropped after that is no repetition.
        self._added: set[str] = set()
        self._warned: set[str] = set()
        self._trims = TrimWatch()
        self._again_at = 0.0
        self._well_since = clock()
        self._away = self._served = False
        outbox = self._outbox
        self._way = OnTheWay(outbox)
        metrics.BACKLOG.labels(name).set_function(lambda: outbox.unsent)
        metrics.HELD.labels(name).set_function(lambda: len(outbox) - outbox.unsent)
        self._connects = metrics.REDIS_CONNECTS.labels(name)
        self._away_since = metrics.AWAY_SINCE.labels(name)
        self._blocked = metrics.BLOCKED.labels(name)

    @property
    def backlog(self) -> int:
        """Rows that Redis has not taken yet."""
        return self._outbox.unsent

    def publish(self, records: Iterable[Record], *, wait: bool = True) -> None:
        """Queue records and send what waits, if Redis is there.

        Blocks only while the outbox is full.

        Args:
            records: What to publish.
            wait: Whether to hear what Redis says of it; else the next call does, and the caller
                works on meanwhile.

        Raises:
            ServiceError: Another writer took over, or Redis refuses us for good.

        """
        for record in records:
            self._outbox.add(record.key, *rows_of(record))
            if type(record) is Trades and PASSAGE:
                self._way.note(record)
            if self._is_full():
                self._make_room()
        self._send_waiting(wait=wait)

    def listen(self) -> None:
        """Hear what Redis has said by now; never waits."""
        try:
            if self._told is not None and self._told.link.has_heard():
                self._hear()
        except (redis.RedisError, OSError) as error:
            self._failed(error)

    def flush(self, seconds: float) -> bool:
        """Wait until Redis has taken all rows, so long at most; return whether it has."""
        until = self._clock() + seconds
        self._send_waiting()
        while self.backlog and self._clock() < until:
            rest = until - self._clock()
            self._sleep(max(0.001, min(self._again_at - self._clock(), rest)))
            self._send_waiting()
        return not self.backlog

    def snapshot(self) -> Snapshot:
        """Return the outbox: what Redis may not have, or may forget in a crash of its own."""
        self._send_waiting()
        return self._outbox.snapshot()

    def restore(self, state: Snapshot) -> None:
        """Take over an outbox; all of it is sent again."""
        self._outbox.restore(state)

    def close(self, seconds: float = 10.0) -> None:
        """Send what waits, so long at most, and hang up."""
        try:
            if not self.flush(seconds):
                LOG.error("%d rows could not be published: Redis is away", self.backlog)
        finally:
            self._hang_up()

    def _is_full(self) -> bool:
        return len(self._outbox) > self._config.max_backlog

    def _make_room(self) -> None:
        self._send_waiting()
        while self._is_full() and not STOP.is_set():
            self._blocked.set(1)
            self._sleep(_PAUSE_S)
            self._send_waiting()
        self._blocked.set(0)

    # ---- the connection ----

    def _send_waiting(self, *, wait: bool = True) -> None:
        if self._clock() < self._again_at:
            return
        try:
            self._hear()
            while self._outbox.unsent > self._told_rows():
                self._hear()
                self._tell(self._linked())
            if wait:
                self._hear()
                self._prove_held()
                if self._link is not None:
                    self._trims.look(self._link, sorted(self._added), self._clock())
        except (redis.RedisError, OSError) as error:
            self._failed(error)
            return
        if self._away:
            LOG.warning("redis takes rows again; the backlog is published")
            self._away, self._well_since = False, self._clock()
            self._away_since.set(0)

    def _linked(self) -> Link:
        if self._link is None:
            link = Link(self._config)
            try:
                load_functions(link)
                hold = self._config.hold_seconds
                self._hold = durable_after(link) if hold is None else hold
            except BaseException:
                link.close()
                raise
            self._link = link
            self._connects.inc()
            self._added.clear()
            self._outbox.resend()
        return self._link

    def _prove_held(self) -> None:
        # A row is safe if the connection that took it still lives so much later: the server has
        # not been restarted since. Any answer proves it; this asks if there was nothing to send.
        oldest = self._outbox.oldest_held
        if oldest is None or oldest + self._hold > self._clock():
            return
        asked_at = self._clock()
        self._linked().ask("PING")
        self._outbox.forget(asked_at - self._hold)

    def _hang_up(self) -> None:
        self._told = None
        if self._link is not None:
            self._link.close()
            self._link = None

    def _failed(self, error: Exception) -> None:
        verdict, told = judge(error), str(error)
        if verdict is Verdict.FENCED:
            hint = "another flow publishes the same symbols; stop one of them"
            raise ServiceError("redis", told, hint=hint) from None
        if verdict is Verdict.BROKEN:
            raise ServiceError("redis", told) from error
        if verdict is Verdict.REFUSED and not self._served:
            hint = "check the user, the password and the ACL of REDIS_URL"
            raise ServiceError("redis", told, hint=hint) from None
        if verdict is not Verdict.WAIT:
            self._hang_up()
        lived = 0.0 if self._away else self._clock() - self._well_since
        self._again_at = self._clock() + self._backoff.lost(lived=lived)
        if not self._away:
            LOG.warning("redis takes no rows, they wait: %s", told)
            self._away_since.set_to_current_time()
        self._away = True

    # ---- the rows ----

    def _told_rows(self) -> int:
        return 0 if self._told is None else sum(map(len, self._told.calls.values()))

    def _tell(self, link: Link) -> None:
        calls = self._outbox.next_calls(self._config.batch, _ROUND_ROWS)
        self._open(link, calls)
        streams = {key: by_stream(items) for key, items in calls.items()}
        sent_at = self._clock()
        config, ours = self._config, self._generations
        link.tell([publish_call(config, key, ours[key], rows) for key, rows in streams.items()])
        self._told = _Told(link, sent_at, calls, streams)

    def _hear(self) -> None:
        # The rows of a round stay in the outbox until its answer was heard.
        if self._told is None:
            return
        told = self._told
        answers = told.link.hear(len(told.calls))
        self._told = None
        metrics.REDIS_CALLS.observe(self._clock() - told.sent_at)
        errors = []
        for (key, items), answer in zip(told.calls.items(), answers, strict=True):
            if isinstance(answer, redis.RedisError):
                errors.append(answer)
            else:
                self._served = True
                self._outbox.taken(key, items, self._clock(), hold=self._hold > 0)
                self._way.taken(key)
                self._count(told.link, key, told.streams[key], answer)
        if errors:
            raise worst(errors)
        self._outbox.forget(told.sent_at - self._hold)

    def _open(self, link: Link, keys: Iterable[str]) -> None:
        new = [key for key in keys if key not in self._generations]
        if not new:
            return
        answers = link.ask_all([("FCALL", "ct_open_3", 1, meta_key(key)) for key in new])
        for key, answer in zip(new, answers, strict=True):
            if isinstance(answer, redis.RedisError):
                raise answer
            self._generations[key] = str(answer)

    def _count(
        self, link: Link, key: str, streams: dict[Target, list[Row]], counts: list[Any]
    ) -> None:
        for n, target in enumerate(streams):
            name = stream_key(key, *target)
            added, known, refused = counts[3 * n : 3 * n + 3]
            metrics.PUBLISHED.labels(target.kind).inc(added)
            metrics.PUBLISH_DUPLICATES.labels(target.kind).inc(known)
            if refused:
                LOG.error("%d rows of %s clash with ids of another writer", refused, name)
            if known and name in self._added and name not in self._warned:
                self._warned.add(name)
                LOG.error("%d rows of %s dropped: their numbers do not rise", known, name)
            if added and name not in self._added:
                # Best effort: a cluster keeps this key elsewhere, an ACL may not allow it.
                link.ask_all([("SADD", REGISTRY, name)])
                self._added.add(name)
