"""What a channel is sent next, and when. Pure: times are given.

    offer ──► queue ──► take: one message, or several as one ──► delivered | failed ──► again | dead

Messages leave in the order they came, in one of four ways:

* alone, at once: signals, fills, and what may have been sent before (sealed);
* those that may be grouped, when nothing came for `group_s`, or something behind them is to leave;
* all that wait, as one digest, when there was no token for the first of them;
* those that are too old, as one summary.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from core.exchange.backoff import Dice
from subscribers.notify.bucket import Bucket
from subscribers.notify.message import Message, Why, summary

_BASE_S, _CAP_S = 2.0, 300.0
_LONGEST_GROUP = 5.0  # times `group_s`, where events never cease
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for a channel.

    Attributes:
        per_minute: Messages at most, attempts that failed included.
        attempts: Before a message is given up.
        group_s: How closely events follow each other that are one message.
        max_age_s: What is older is only summed up.

    """

    per_minute: int = 20
    attempts: int = 8
    group_s: float = 2.0
    max_age_s: float = 900.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Message
    at: float  # when it came
    born: float  # when it happened
    waits: bool  # for others


class Lane:
    """The messages of one channel.

    Args:
        limits: What holds.
        dice: For the jitter of retries.
        used: When messages were sent before, as far as that counts.

    Attributes:
        attempts: How often the message at hand has failed.

    """

    def __init__(self, limits: Limits, dice: Dice, used: Iterable[float] = ()) -> None:
        self._limits, self._dice = limits, dice
        self._bucket = Bucket(limits.per_minute, used)
        self._queue: deque[_Waiting] = deque()
        self._urgent = 0  # of the queue: those for which the ones before them do not wait
        self._at_hand: Message | None = None
        self._not_before = float("-inf")
        self.attempts = 0

    def __len__(self) -> int:
        """Return how many messages wait, the one at hand included."""
        return len(self._queue) + (self._at_hand is not None)

    def offer(self, message: Message, now: float, age_s: float = 0.0) -> None:
        """Take a message; `age_s` is how long ago it happened."""
        born = now - age_s
        waits = not message.sealed and (message.grouped or age_s > self._limits.max_age_s)
        self._queue.append(_Waiting(message, now, born, waits))
        self._urgent += not waits

    def next_at(self) -> float:
        """Return when `take` gives a message, if nothing else comes; `NEVER` if none waits."""
        if self._at_hand is not None:
            return max(self._not_before, self._bucket.ready_at())
        if not self._queue:
            return NEVER
        return max(self._due(), self._not_before, self._bucket.ready_at())

    def take(self, now: float) -> Message | None:
        """Return the message to be sent now; it is at hand until it is delivered or given up."""
        if now < self.next_at():
            return None
        if self._at_hand is None:
            self._at_hand = self._composed(now)
        return self._at_hand

    def spend(self, now: float) -> None:
        """Use a token: the message at hand is being sent."""
        self._bucket.take(now)

    def hold(self, until: float) -> None:
        """Send nothing before a time: this is no failure of the message."""
        self._not_before = max(self._not_before, until)

    def delivered(self) -> None:
        """Be done with the message at hand."""
        self._at_hand, self.attempts = None, 0

    def failed(self, now: float, *, again: bool, after_s: float = 0.0) -> bool:
        """Note that an attempt failed; return whether the message is given up.

        Args:
            now: The time.
            again: Whether another attempt may help.
            after_s: What the receiver asks us to wait.

        """
        self.attempts += 1
        ceiling = min(_CAP_S, _BASE_S * 2.0 ** min(self.attempts - 1, 30))
        # At least half of it: one who is asked to wait more and more is not asked at once by luck.
        delay = ceiling * (0.5 + 0.5 * self._dice.random())
        dead = not again or self.attempts >= self._limits.attempts
        self.hold(now + max(after_s, delay if again else 0.0))
        if dead:
            self._at_hand, self.attempts = None, 0
        return dead

    def _due(self) -> float:
        if self._urgent:
            return self._queue[0].at
        group = self._limits.group_s
        return min(self._queue[-1].at + group, self._queue[0].at + _LONGEST_GROUP * group)

    def _composed(self, now: float) -> Message:
        head = self._queue[0]
        if head.message.sealed:
            return self._pop().message
        if self._is_old(head, now):
            return self._run(lambda one: self._is_old(one, now), "old")
        if self._bucket.ready_at() > self._due():
            return self._run(lambda _one: True, "over")
        if head.waits:
            return self._run(lambda one: one.waits and not self._is_old(one, now), "grouped")
        return self._pop().message

    def _is_old(self, one: _Waiting, now: float) -> bool:
        return now - one.born > self._limits.max_age_s

    def _run(self, fits: Callable[[_Waiting], bool], why: Why) -> Message:
        some: list[Message] = []
        while self._queue and not self._queue[0].message.sealed and fits(self._queue[0]):
            some.append(self._pop().message)
        if len(some) == 1 and why != "old":
            return some[0]
        return summary(some, why, self._told(why))

    def _pop(self) -> _Waiting:
        one = self._queue.popleft()
        self._urgent -= not one.waits
        return one

    def _told(self, why: Why) -> str:
        if why == "over":
            return f"the limit of {self._limits.per_minute} a minute"
        minutes = self._limits.max_age_s / 60
        return f"{minutes:g} minutes"


def sealed(message: Message) -> Message:
    """Return a message that goes out as it is."""
    return replace(message, sealed=True)
