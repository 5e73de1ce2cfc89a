"""Entries that a group gave up: kept in a stream of their own, and given back on request."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from connectors.redis.codec import Entry, entry_of
from connectors.redis.keys import dead_key
from subscribers.entries import Delivery
from subscribers.groups import GroupLink

LOG = logging.getLogger("cryptotools.subscribers")

_KEPT = 10_000
_PAGE = 500
_LONG_AGO_MS = 10 * 365 * 86_400_000
_GIVEN_BACK = "~given-back"
"""The consumer that holds what was given back, until somebody takes it over."""


@dataclass(frozen=True, slots=True)
class Dead:
    """An entry that was given up.

    Attributes:
        id: Of its entry among the dead ones; the milliseconds are when it got there.
        name: The stream it was in.
        entry: As it was.
        deliveries: How often it was handed out.
        reason: Why it was given up.

    """

    id: str
    name: str
    entry: Entry
    deliveries: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        told = {"dead": self.id, "reason": self.reason, "deliveries": self.deliveries}
        return {**self.entry.as_dict(), **told}


def bury(link: GroupLink, delivery: Delivery, reason: str) -> None:
    """Put an entry among the dead ones; the group is done with it.

    If this is cut off in the middle it may be there twice.
    """
    fields = {
        "stream": delivery.name,
        "entry": delivery.id,
        "deliveries": str(delivery.deliveries),
        "reason": reason[:1000],
        "fields": orjson.dumps(delivery.fields).decode(),
    }
    link.client.xadd(dead_key(link.group), fields, maxlen=_KEPT, approximate=True)
    link.ack({delivery.name: [delivery.id]})
    LOG.error("entry %s of %s is given up: %s", delivery.id, delivery.name, reason)


def dead_entries(link: GroupLink) -> Iterator[Dead]:
    """Yield what the group gave up, oldest first."""
    start = "-"
    while True:
        rows = link.client.xrange(dead_key(link.group), min=start, count=_PAGE)
        for row_id, row in rows:
            entry = entry_of(row["stream"], row["entry"], orjson.loads(row["fields"]))
            yield Dead(row_id, row["stream"], entry, int(row["deliveries"]), row["reason"])
        if len(rows) < _PAGE:
            return
        start = f"({rows[-1][0]}"


def give_back(link: GroupLink) -> tuple[int, int]:
    """Have dead entries handed out again, as if for the first time.

    Returns how many, and of how many this cannot be: trimmed from their stream, or of a stream
    without the group. These stay among the dead ones.
    """
    given = stuck = 0
    for dead in list(dead_entries(link)):
        if link.hand_to(_GIVEN_BACK, dead.name, dead.entry.id, _LONG_AGO_MS):
            link.client.xdel(dead_key(link.group), dead.id)
            given += 1
        else:
            stuck += 1
    return given, stuck
