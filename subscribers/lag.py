"""How far behind a group is: in entries, and in seconds of the data's own time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from connectors.redis.keys import StreamName, parse_key
from subscribers.entries import order
from subscribers.groups import GroupLink
from subscribers.look import Look

_PAGE = 5000


@dataclass(frozen=True, slots=True)
class Lag:
    """Of one group in one stream.

    Attributes:
        name: The stream's name.
        group: The group's.
        entries: In the stream and not handed out yet.
        seconds: Between the last entry handed out and the newest one; 0 where there is no lag.
        pending: Handed out and not acknowledged.
        consumers: Consumers that the group knows.
        idle_s: Seconds since the last of them was heard of; None: there is none.

    """

    name: str
    group: str
    entries: int
    seconds: float
    pending: int
    consumers: int
    idle_s: float | None

    @property
    def stream(self) -> StreamName:
        """What the stream's name says."""
        return parse_key(self.name) or StreamName(self.name, "")


def lags(link: GroupLink, names: Sequence[str]) -> list[Lag]:
    """Return the lag of the group in these streams; those without it are left out.

    Raises:
        redis.RedisError: Redis is not there.

    """
    return [
        _lag(link, name, look)
        for name, look in link.look(names).items()
        if look is not None and look.group
    ]


def groups_of(link: GroupLink, names: Sequence[str]) -> list[str]:
    """Return the names of all groups that read these streams."""
    return sorted({group for name in names for group in link.groups(name)})


def _lag(link: GroupLink, name: str, look: Look) -> Lag:
    told = look.lag if look.lag is not None else _counted(link, name, look.last)
    # What was trimmed away is not to come any more, though servers count it.
    entries = min(told, look.length)
    seen: list[dict[str, Any]] = link.consumers(name)
    idle = min((float(one["idle"]) / 1000 for one in seen), default=None)
    return Lag(
        name, link.group, entries, _seconds(look) if entries else 0.0, look.pending, len(seen), idle
    )


def _seconds(look: Look) -> float:
    first = order(look.first)[0] if look.first else 0
    return max(0, order(look.newest)[0] - max(order(look.last)[0], first)) / 1000


def _counted(link: GroupLink, name: str, last: str) -> int:
    # A group that began in the middle: the server does not know how far that was.
    count, start = 0, f"({last}"
    while True:
        rows = link.client.xrange(name, min=start, count=_PAGE)
        count += len(rows)
        if len(rows) < _PAGE:
            return count
        start = f"({rows[-1][0]}"
