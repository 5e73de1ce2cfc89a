"""Dead letters, sent once more."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from config.notify import NotifyConfig
from subscribers.notify.channel import Channel, DeliveryError
from subscribers.notify.channels import limits_of
from subscribers.notify.lane import Lane
from subscribers.notify.message import Message
from subscribers.notify.store import Dead, Store


@dataclass(slots=True)
class Outcome:
    """What became of a channel's dead letters.

    Attributes:
        sent: Those that were delivered.
        kept: Those that were not, and stay.
        error: Why; empty: all were.

    """

    sent: list[Dead] = field(default_factory=list)
    kept: list[Dead] = field(default_factory=list)
    error: str = ""


def send_again(
    config: NotifyConfig,
    channels: Mapping[str, Channel],
    store: Store,
    dead: Sequence[Dead],
    *,
    wait: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Outcome]:
    """Send dead letters once more, by channel; those of channels that are gone stay.

    The channel's limit holds: what is over it becomes one message. After the first failure the
    others of a channel stay as they are. Cut off in the middle, a message may be sent twice, under
    one id.
    """
    found: dict[str, Outcome] = {}
    for name in dict.fromkeys(one.channel for one in dead):
        own = [one for one in dead if one.channel == name]
        if name not in channels:
            found[name] = Outcome(kept=own, error="there is no such channel any more")
            continue
        now = clock()
        used = [now - ago for ago in store.attempts(name)]
        lane = Lane(limits_of(config, name), random.Random(), used)
        desk = _Again(name, channels[name], store, lane, config.channels[name].per_minute)
        found[name] = desk.run(own, wait, clock)
    return found


@dataclass(slots=True)
class _Again:
    name: str
    channel: Channel
    store: Store
    lane: Lane
    tokens: int

    def run(
        self, dead: list[Dead], wait: Callable[[float], object], clock: Callable[[], float]
    ) -> Outcome:
        now = clock()
        for one in dead:
            # Whoever asks for it wants it as it was, however old it is.
            self.lane.offer(one.message, now)
        outcome = Outcome(kept=list(dead))
        while self.lane and not outcome.error:
            wait(max(0.0, self.lane.next_at() - clock()))
            message = self.lane.take(clock())
            if message is not None:
                self._send(message, outcome, clock)
        return outcome

    def _send(self, message: Message, outcome: Outcome, clock: Callable[[], float]) -> None:
        self.store.attempt(self.name, self.tokens)
        try:
            self.channel.send(message)
        except DeliveryError as error:
            outcome.error = str(error)
            self.store.failed(self.name, outcome.error)
            return
        finally:
            self.lane.spend(clock())
        self.lane.delivered()
        told = set(message.records)
        done = [one for one in outcome.kept if told.issuperset(one.message.records)]
        for one in done:
            self.store.sent(self.name, one.message)
        self.store.raised(done)
        outcome.sent += done
        outcome.kept = [one for one in outcome.kept if one not in done]
