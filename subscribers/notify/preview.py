"""What would be sent, and when, without sending it: the same rules and lanes."""

import random
from collections.abc import Iterable
from typing import NamedTuple

from config.notify import NotifyConfig
from connectors.redis.codec import Entry
from subscribers.notify.channels import limits_of
from subscribers.notify.lane import NEVER, Lane
from subscribers.notify.message import Message
from subscribers.notify.rules import Rules


class Planned(NamedTuple):
    """A message that would leave."""

    at: float
    channel: str
    message: Message


class Preview:
    """Channels that take everything at once, and send nothing.

    Args:
        config: What is sent where.

    """

    def __init__(self, config: NotifyConfig) -> None:
        self._rules = Rules(config)
        dice = random.Random()
        self._lanes = {name: Lane(limits_of(config, name), dice) for name in config.channels}

    @property
    def records(self) -> frozenset[str]:
        """The kinds of streams that any rule looks at."""
        return self._rules.records

    def take(self, entry: Entry, now: float, age_s: float = 0.0) -> None:
        """Take a record."""
        for name, message in self._rules.messages(entry).items():
            self._lanes[name].offer(message, now, age_s)

    def due(self, now: float) -> list[Planned]:
        """Return what leaves up to a time, in its order."""
        found: list[Planned] = []
        for name, lane in self._lanes.items():
            while (at := lane.next_at()) <= now and at < NEVER:
                message = lane.take(at)
                if message is None:
                    break
                lane.spend(at)
                lane.delivered()
                found.append(Planned(at, name, message))
        return sorted(found, key=lambda one: one.at)


def replayed(config: NotifyConfig, entries: Iterable[Entry]) -> list[Planned]:
    """Return what records would have sent, had each been told of when it happened."""
    preview = Preview(config)
    found: list[Planned] = []
    for entry in sorted(entries, key=lambda one: one.order):
        now = entry.order[0] / 1000
        found += preview.due(now)
        preview.take(entry, now)
    return found + preview.due(NEVER)
