"""The states of a connection and of its streams, as tables: nothing about them is elsewhere."""

from enum import Enum


class Link(Enum):
    """State of the connection."""

    DOWN = "down"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    FAILED = "failed"


class Stream(Enum):
    """State of one subscription."""

    REQUESTED = "requested"
    ACKED = "acked"
    LIVE = "live"


TRANSITIONS: dict[tuple[Link, str], Link] = {
    (Link.DOWN, "opened"): Link.SUBSCRIBING,
    (Link.DOWN, "lost"): Link.DOWN,
    (Link.SUBSCRIBING, "acked"): Link.LIVE,
    (Link.SUBSCRIBING, "failed"): Link.FAILED,
    (Link.SUBSCRIBING, "lost"): Link.DOWN,
    (Link.LIVE, "failed"): Link.FAILED,
    (Link.LIVE, "lost"): Link.DOWN,
    (Link.FAILED, "failed"): Link.FAILED,
    (Link.FAILED, "lost"): Link.DOWN,
}
"""Whatever is not here cannot happen; `feed` ignores an input that would ask for it."""
