"""Reads streams for a consumer group: each entry at least once, however consumers die.

    streams ──► own entries of before ──► those of dead consumers ──► new ones ──► Batch ──► ack

A batch that is not acknowledged comes again: to the same consumer when it starts again, or after
`min_idle` seconds to whoever asks. An entry that was handed out too often goes to ``md:~dead:…``.
What was trimmed away before it could be read comes as `Missed`, never as silence.
"""

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from types import TracebackType

from redis.exceptions import AskError, RedisClusterException

from connectors.redis.failures import Verdict, judge
from core.exchange.backoff import Backoff
from core.market.errors import ConfigError, CryptoToolsError, ServiceError
from subscribers.dead import bury
from subscribers.entries import Batch, Delivery, Missed
from subscribers.groups import FAULTS, GroupLink
from subscribers.intake import Intake, Limits
from subscribers.lag import Lag, lags
from subscribers.streams import ALL, LASTING, NEW, Streams, Wanted

LOG = logging.getLogger("cryptotools.subscribers")

__all__ = ["ALL", "LASTING", "NEW", "Batch", "Consumer", "Delivery", "Lag", "Missed"]

_BLOCK_S = 0.5


class Consumer:
    """One consumer of a group; not for several threads, but for `stop`.

    Args:
        url: An address of Redis, or of a node of a Redis Cluster.
        group: The group: those who share the work have the same one.
        name: Of this consumer. With a name that is the same after a restart it goes on at once with
            what it had not finished; without one, others take that over after `min_idle`.
        kinds: Kinds of streams; all but forming klines by default.
        symbols: Symbols, with their exchange or without; empty: all.
        intervals: Intervals of klines; empty: all.
        start: Where a group that does not exist yet begins: ``all`` that is kept, ``new`` entries
            only, or behind an id. Streams that come later are read from their first entry on.
        batch: Entries of a batch at most.
        min_idle: Seconds after which an entry that was not acknowledged is given to another
            consumer: more than the longest time that a batch takes.
        max_deliveries: Times that an entry is handed out before it is given up; 0: no bound.
        clock: Monotonic seconds.

    Raises:
        ConfigError: A group, a name or a kind that cannot be one.

    """

    def __init__(
        self,
        url: str,
        group: str,
        *,
        name: str | None = None,
        kinds: Collection[str] = LASTING,
        symbols: Collection[str] = (),
        intervals: Collection[str] = (),
        start: str = ALL,
        batch: int = 500,
        min_idle: float = 60.0,
        max_deliveries: int = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.group = _named("group", group)
        self.name = _named("name", name or f"{socket.gethostname()}-{os.getpid()}")
        self._passes = name is None  # nobody of that name comes back
        self._clock = clock
        self._stopping = threading.Event()
        self._link = GroupLink(url, group, self.name, wait=self._stopping.wait)
        wanted = Wanted(tuple(kinds), tuple(symbols), tuple(intervals))
        self._streams = Streams(self._link, wanted, start, clock)
        limits = Limits(batch, max(1, int(min_idle * 1000)), max_deliveries)
        self._intake = Intake(self._link, self._streams, limits, clock)
        self._backoff = _pauses()
        self._well_since = clock()
        self._away = False

    def __enter__(self) -> "Consumer":
        """Return it; it connects when it is first asked."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Hang up."""
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches as they come, until `stop`; waits while Redis is away."""
        while not self._stopping.is_set():
            batch = self.poll(60.0)
            if batch is not None:
                yield batch

    def poll(self, seconds: float) -> Batch | None:
        """Return the next batch; None if none came in time, or it is to stop.

        Raises:
            ServiceError: Redis refuses us for good.

        """
        until = self._clock() + seconds
        while not self._stopping.is_set():
            batch = None
            try:
                batch = self._fetched(max(0.0, min(_BLOCK_S, until - self._clock())))
            except FAULTS as error:
                self._failed(error)
            if batch is not None or self._clock() >= until:
                return batch
        return None

    def run(
        self,
        handler: Callable[[Batch], object],
        *,
        until: Callable[["Consumer"], bool] | None = None,
    ) -> None:
        """Give batches to a handler, each acknowledged when it returns, until `stop`.

        When it raises, that is logged, and after a pause the batch is given again; entries that
        failed often come alone, and in the end go to the dead ones. Only `BrokenPipeError` leaves.

        Args:
            handler: Called with one batch after the other.
            until: Asked where nothing comes for a while whether to end.

        """
        pauses = _pauses()
        while not self.is_stopping:
            batch = self.poll(_BLOCK_S)
            if batch is None:
                if until is not None and until(self):
                    return
                continue
            try:
                handler(batch)
            except BrokenPipeError:
                raise
            except Exception as error:
                ours = isinstance(error, CryptoToolsError)
                LOG.error("not done, it comes again: %s", error, exc_info=not ours)
                batch.retry()
                self._stopping.wait(pauses.lost(lived=0.0))
            else:
                batch.ack()
                pauses = _pauses()

    def stop(self) -> None:
        """End the iteration after the batch at hand; for signal handlers and other threads."""
        self._stopping.set()

    def close(self) -> None:
        """Hang up; a consumer without a name of its own leaves the group, if it holds nothing."""
        self._stopping.set()
        try:
            if self._passes:
                self._link.leave(self._streams.stands)
        except FAULTS as error:
            LOG.debug("did not leave the group: %s", error)
        self._link.close()

    def lag(self) -> list[Lag]:
        """Return how far behind the group is, by stream.

        Raises:
            ServiceError: Redis is not there.

        """
        try:
            self._streams.tend()
            return lags(self._link, sorted(self._streams.stands))
        except FAULTS as error:
            raise ServiceError("redis", str(error), hint="is REDIS_URL right?") from None

    def lag_if_known(self) -> list[Lag] | None:
        """Return the lag, or None while Redis is away."""
        try:
            return self.lag()
        except ServiceError:
            return None

    def join(self) -> None:
        """Make the group wherever it is not yet, so that all from here on is kept for it.

        Waits while Redis is away, unless it is to stop.
        """
        self._insist(self._streams.tend)

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until it is to stop; return whether it is."""
        return self._stopping.wait(seconds)

    # ---- of a batch ----

    def ack(self, batch: Batch) -> None:
        """Acknowledge a batch; waits while Redis is away, unless it is to stop."""
        self._insist(lambda: self._link.ack(batch.ids()))

    def retry(self, batch: Batch) -> None:
        """Hand a batch out again."""
        self._intake.again({name: ids[0] for name, ids in batch.ids().items()})
        self._streams.untell(batch.missed)

    def extend(self, batch: Batch) -> None:
        """Keep others from taking a batch over for another `min_idle`, if Redis is there."""
        try:
            self._link.extend(batch.ids())
        except FAULTS as error:
            LOG.debug("cannot hold on to a batch: %s", error)

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Put an entry among the dead ones; waits while Redis is away, unless it is to stop."""
        self._insist(lambda: bury(self._link, delivery, reason))

    def _insist(self, what: Callable[[], None]) -> None:
        while True:
            try:
                what()
                self._well()
            except FAULTS as error:
                self._failed(error)
                if not self._stopping.is_set():
                    continue
                LOG.warning("stopped while redis was away: %s", error)
            return

    # ---- the connection ----

    def _fetched(self, seconds: float) -> Batch | None:
        entries, missed = self._intake.fetch(seconds)
        self._well()
        return Batch(tuple(entries), tuple(missed), self) if entries or missed else None

    def _well(self) -> None:
        if self._away:
            LOG.warning("redis is back; group %s goes on", self.group)
            self._away, self._well_since = False, self._clock()

    def _failed(self, error: Exception) -> None:
        # In a cluster a slot may move; who dials again is told where to.
        moved = isinstance(error, AskError | RedisClusterException)
        if not moved and judge(error) in {Verdict.REFUSED, Verdict.BROKEN}:
            hint = "check the user, the password and the ACL of REDIS_URL"
            raise ServiceError("redis", str(error), hint=hint) from None
        if not self._away:
            LOG.warning("redis is away, group %s waits: %s", self.group, error)
        lived = 0.0 if self._away else self._clock() - self._well_since
        self._away = True
        self._link.close()
        # What was read may not have reached us.
        self._intake.start_over()
        self._stopping.wait(self._backoff.lost(lived=lived))


def _pauses() -> Backoff:
    return Backoff(random.Random(), base=0.1, cap=5.0, stable=5.0)


def _named(what: str, value: str) -> str:
    if not value or not value.isprintable() or " " in value:
        raise ConfigError(what, f"`{value}` is no name", hint="letters, digits, - and _")
    return value
