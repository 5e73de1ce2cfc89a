"""Brings messages to one channel, on a thread of its own: a slow receiver holds up no other.

    take ──► lane ──► held in Redis ──► sent ──► noted in Redis ──► ticket closed

When all tickets of a batch are closed, it is acknowledged.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Protocol

import redis

from core.exchange.backoff import Dice
from subscribers.notify.channel import Channel, DeliveryError
from subscribers.notify.feed import Batch
from subscribers.notify.lane import NEVER, Lane, Limits, sealed
from subscribers.notify.message import Message

LOG = logging.getLogger("cryptotools.notify")

_AGAIN_S = 0.5
_WAIT_S = 1.0


class Marks(Protocol):
    """What a courier tells Redis (`subscribers.notify.store.Store`)."""

    def hold(self, channel: str, message: Message) -> bool:
        """Keep a message that is about to be sent; False: it was sent before."""

    def attempt(self, channel: str, tokens: int) -> None:
        """Note that a message is being sent."""

    def attempts(self, channel: str) -> list[float]:
        """Return how many seconds ago messages were sent of late."""

    def sent(self, channel: str, message: Message) -> None:
        """Note that a message was delivered."""

    def failed(self, channel: str, error: str) -> None:
        """Count an attempt that failed."""

    def bury(self, channel: str, message: Message, reason: str, attempts: int) -> None:
        """Put a message among the dead ones."""


class Ticket:
    """What is still to be done for a batch; when nothing is, it goes to `done`."""

    def __init__(self, batch: Batch, done: "queue.SimpleQueue[Batch]") -> None:
        self._batch, self._done = batch, done
        self._open = 1  # whoever hands it out
        self._lock = threading.Lock()

    def open(self) -> None:
        """Note one more thing to do."""
        with self._lock:
            self._open += 1

    def close(self) -> None:
        """Note that one is done."""
        with self._lock:
            self._open -= 1
            if self._open == 0:
                self._done.put(self._batch)


class Courier:
    """Sends the messages of one channel.

    Args:
        name: Of the channel.
        channel: Where they go.
        marks: Where it is noted.
        limits: What holds.
        may_send: Whether we are the one to send.
        dice: For the jitter of retries.
        clock: Monotonic seconds.

    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        marks: Marks,
        limits: Limits,
        *,
        may_send: Callable[[], bool] = lambda: True,
        dice: Dice | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._channel, self._marks, self._limits = channel, marks, limits
        self._may_send, self._clock = may_send, clock
        now = clock()
        used = [now - ago for ago in marks.attempts(name)]
        self._lane = Lane(limits, dice or random.Random(), used)
        self._open: dict[str, list[Ticket]] = {}  # by record
        self._sealed: set[str] = set()  # messages of before that wait
        self._change = threading.Condition()
        self._stopping = threading.Event()
        self._away = False
        self.error: BaseException | None = None

    def __len__(self) -> int:
        """Return how many records wait."""
        return len(self._open)

    def take(self, message: Message, ticket: Ticket, age_s: float = 0.0) -> None:
        """Take the message of a record; one that is waiting already is not taken twice."""
        (record,) = message.records
        with self._change:
            if self._awaits(record, ticket):
                return
            self._lane.offer(message, self._clock(), age_s)
            self._change.notify()

    def resume(self, record: str, held: Message, ticket: Ticket) -> None:
        """Take a message that may have been sent before, because of one of its records."""
        with self._change:
            if self._awaits(record, ticket) or held.id in self._sealed:
                return
            self._sealed.add(held.id)
            self._lane.offer(sealed(held), self._clock())
            self._change.notify()

    def step(self) -> float:
        """Make one attempt, if it is time; return when the next may be due."""
        now = self._clock()
        with self._change:
            message = self._lane.take(now)
            if message is None:
                return self._lane.next_at()
        try:
            if not self._may_send():
                return self._hold(now)
            if not self._marks.hold(self.name, message):
                self._finish(message)
                return now
            self._marks.attempt(self.name, self._limits.per_minute)
        except (redis.RedisError, OSError) as error:
            return self._cannot(error, now)
        if not self._may_send():  # it may have taken its time
            return self._hold(now)
        self._away = False
        self._attempt(message)
        return now

    def run(self) -> None:
        """Go on until told to stop; for a thread."""
        try:
            while not self._stopping.is_set():
                self.step()
                with self._change:
                    wait = min(self._lane.next_at() - self._clock(), _WAIT_S)
                    if wait > 0 and not self._stopping.is_set():
                        self._change.wait(wait)
        except BaseException as error:  # told by the worker, which ends with it
            self.error = error

    def stop(self) -> None:
        """End after the attempt at hand."""
        self._stopping.set()
        with self._change:
            self._change.notify()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        with self._change:
            return self._lane.next_at() == NEVER

    # ---- how ----

    def _awaits(self, record: str, ticket: Ticket) -> bool:
        ticket.open()
        waiting = self._open.setdefault(record, [])
        waiting.append(ticket)
        return len(waiting) > 1

    def _attempt(self, message: Message) -> None:
        error = self._sent(message)
        now = self._clock()
        with self._change:
            self._lane.spend(now)
            attempts = self._lane.attempts + 1
        if error is None:
            self._insist(lambda: self._marks.sent(self.name, message), message)
            return
        if attempts == 1:
            LOG.warning("channel %s: %s", self.name, error)
        self._try(lambda: self._marks.failed(self.name, str(error)))
        with self._change:
            dead = self._lane.failed(now, again=error.again, after_s=error.after_s)
        if dead:
            tail = f"after {attempts} attempts" if attempts > 1 else "at once"
            LOG.error("channel %s: `%s` is given up %s", self.name, message.title, tail)
            why = str(error)
            self._insist(lambda: self._marks.bury(self.name, message, why, attempts), message)

    def _sent(self, message: Message) -> DeliveryError | None:
        try:
            self._channel.send(message)
        except DeliveryError as error:
            return error
        except Exception as error:
            # A library's own fault; its text may hold anything.
            LOG.debug("channel %s", self.name, exc_info=True)
            return DeliveryError(f"failed with {type(error).__name__}", again=True)
        return None

    def _insist(self, note: Callable[[], None], message: Message) -> None:
        while not self._try(note):
            if self._stopping.wait(_AGAIN_S):
                return  # whoever comes after us sends it again, under the same id
        self._finish(message)

    def _try(self, note: Callable[[], None]) -> bool:
        try:
            note()
        except (redis.RedisError, OSError) as error:
            self._complain(error)
            return False
        return True

    def _finish(self, message: Message) -> None:
        with self._change:
            self._lane.delivered()
            self._sealed.discard(message.id)
            closed = [one for record in message.records for one in self._open.pop(record, [])]
        for ticket in closed:
            ticket.close()

    def _hold(self, now: float) -> float:
        with self._change:
            self._lane.hold(now + _AGAIN_S)
        return now + _AGAIN_S

    def _cannot(self, error: Exception, now: float) -> float:
        self._complain(error)
        return self._hold(now)

    def _complain(self, error: Exception) -> None:
        if not self._away:
            LOG.warning("channel %s waits for redis: %s", self.name, error)
        self._away = True
