"""The worker: a feed's entries → messages → one courier per channel → acknowledged.

An entry is acknowledged when every message of it was delivered or given up. Cut off anywhere, it
comes again, and what was delivered is known by then: each record reaches each channel once, or
again under the id that it had.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress

import redis

from config.notify import NotifyConfig
from connectors.redis.codec import Entry
from connectors.redis.failures import Verdict, judge
from core.market.errors import ServiceError
from subscribers.notify.ages import Ages
from subscribers.notify.channel import Channel
from subscribers.notify.channels import limits_of, open_channel
from subscribers.notify.courier import Courier, Ticket
from subscribers.notify.feed import Batch, Feed, GroupFeed
from subscribers.notify.lease import TTL_S, Lease
from subscribers.notify.message import Message
from subscribers.notify.rules import Rules
from subscribers.notify.store import Store

LOG = logging.getLogger("cryptotools.notify")

_POLL_S = 0.5
_STANDBY_S = 1.0
_AWAY_S = 1.0
_MOST = 10_000
"""Records that may wait at once; then no more are read, until some are through."""


class Desk:
    """Hands what entries make to couriers, and gives back the batches that are done.

    Args:
        rules: What is sent where.
        couriers: By channel.
        store: What is known of before.
        ages: How old records are.

    """

    def __init__(
        self, rules: Rules, couriers: Mapping[str, Courier], store: Store, ages: Ages
    ) -> None:
        self._rules, self._couriers, self._store, self._ages = rules, couriers, store, ages
        self._done: queue.SimpleQueue[Batch] = queue.SimpleQueue()

    def __len__(self) -> int:
        """Return how many records wait, of all channels."""
        return sum(len(courier) for courier in self._couriers.values())

    def take(self, batch: Batch) -> None:
        """Take a batch; may raise `redis.RedisError`, and can then be given again."""
        self._ages.look()
        ticket = Ticket(batch, self._done)
        for name, messages in self._by_channel(batch.entries, batch.missed).items():
            known = self._store.known(name, [message.records[0] for message in messages])
            for message, before in zip(messages, known, strict=True):
                self._give(self._couriers[name], message, before, ticket)
        ticket.close()

    def finished(self) -> list[Batch]:
        """Return the batches that are done since the last call."""
        found: list[Batch] = []
        with suppress(queue.Empty):
            while True:
                found.append(self._done.get_nowait())
        return found

    def _by_channel(
        self, entries: Sequence[Entry], missed: Sequence[str]
    ) -> dict[str, list[Message]]:
        made = [self._rules.missed(text) for text in missed]
        made += [self._rules.messages(entry) for entry in entries]
        found: dict[str, list[Message]] = {}
        for one in made:
            for name, message in one.items():
                found.setdefault(name, []).append(message)
        return found

    def _give(
        self, courier: Courier, message: Message, before: Message | bool, ticket: Ticket
    ) -> None:
        if isinstance(before, Message):
            courier.resume(message.records[0], before, ticket)
        elif not before:
            age_s = self._ages.age_s(message.time_us) if message.time_us else 0.0
            courier.take(message, ticket, age_s)


class Worker:
    """Sends notifications until told to stop.

    Args:
        config: What is sent where.
        url: An address of Redis.
        stop: Tells it to stop.
        channels: Opened channels; those of the settings by default.
        feed: Makes the feed; a consumer group by default.
        lease_s: After how many seconds of silence another worker takes over.
        clock: Monotonic seconds.

    Raises:
        ConfigError: A rule or a channel that cannot be.

    """

    def __init__(
        self,
        config: NotifyConfig,
        url: str,
        *,
        stop: threading.Event,
        channels: Mapping[str, Channel] | None = None,
        feed: Callable[[], Feed] | None = None,
        lease_s: float = TTL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._stop, self._clock = config, stop, clock
        self._rules = Rules(config)
        opened = {name: open_channel(name, one) for name, one in config.channels.items()}
        self._channels = dict(channels) if channels is not None else opened
        self._store = Store(url, config.name, config.max_age_seconds)
        self._lease = Lease(self._client, config.name, clock=clock, ttl_s=lease_s)
        self._feed = feed or self._group
        self._standby_s = min(_STANDBY_S, lease_s / 3)
        self._away = False

    def run(self) -> None:
        """Work while we have the lease, wait while another has it.

        Raises:
            ServiceError: Redis refuses us.

        """
        said = False
        with ExitStack() as closing:
            for channel in self._channels.values():
                closing.callback(channel.close)
            closing.callback(self._hang_up)
            while not self._stop.is_set():
                try:
                    if self._lease.acquire():
                        said = False
                        self._work()
                    elif not said:
                        said = True
                        LOG.info("another worker sends; this one takes over when it is gone")
                    self._stop.wait(0 if self._lease.is_held else self._standby_s)
                except (redis.RedisError, OSError) as error:
                    self._cannot(error)

    def _client(self) -> object:
        return self._store.client

    def _group(self) -> Feed:
        return GroupFeed(lambda: self._store.client, self._config.name, self._rules.records)

    def _work(self) -> None:
        couriers = {name: self._courier(name) for name in self._channels}
        threads = [threading.Thread(target=c.run, name=f"notify-{n}", daemon=True)
                   for n, c in couriers.items()]  # fmt: skip
        feed = self._feed()
        desk = Desk(self._rules, couriers, self._store, Ages(lambda: self._store.client))
        LOG.info("sending to %s", ", ".join(couriers) or "nobody")
        try:
            for thread in threads:
                thread.start()
            while not self._stop.is_set() and self._lease.acquire():
                self._turn(desk, feed)
                _raise_first(couriers)
        finally:
            for courier in couriers.values():
                courier.stop()
            for thread in threads:
                thread.join()
            with suppress(redis.RedisError, OSError):
                _acknowledge(desk)
            feed.close()

    def _turn(self, desk: Desk, feed: Feed) -> None:
        _acknowledge(desk)
        if len(desk) >= _MOST:
            self._stop.wait(_POLL_S)
            return
        batch = feed.poll(_POLL_S)
        if batch is not None:
            desk.take(batch)
        if self._away:
            LOG.warning("redis is back")
            self._away = False

    def _courier(self, name: str) -> Courier:
        limits = limits_of(self._config, name)
        return Courier(
            name, self._channels[name], self._store, limits,
            may_send=lambda: self._lease.is_held, clock=self._clock,
        )  # fmt: skip

    def _cannot(self, error: Exception) -> None:
        if judge(error) in {Verdict.REFUSED, Verdict.BROKEN}:
            hint = "check the user, the password and the ACL of REDIS_URL"
            raise ServiceError("redis", str(error), hint=hint) from None
        if not self._away:
            LOG.warning("redis is away, notifications wait: %s", error)
        self._away = True
        self._stop.wait(_AWAY_S)

    def _hang_up(self) -> None:
        with suppress(redis.RedisError, OSError):
            self._lease.release()
        with suppress(redis.RedisError, OSError):
            self._store.close()


def _acknowledge(desk: Desk) -> None:
    for batch in desk.finished():
        batch.ack()


def _raise_first(couriers: Mapping[str, Courier]) -> None:
    for courier in couriers.values():
        if courier.error is not None:
            raise courier.error
