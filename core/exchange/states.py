"""The states of a connection and of its streams, as tables: nothing about them is elsewhere."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

_State = TypeVar("_State", bound=Enum)


class LinkState(Enum):
    """State of one connection."""

    DOWN = "down"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    RETIRING = "retiring"
    FAILED = "failed"


class StreamState(Enum):
    """State of one subscription: an acknowledgement is not data."""

    REQUESTED = "requested"
    ACKED = "acked"
    LIVE = "live"
    STALE = "stale"


TRANSITIONS: dict[tuple[LinkState, str], LinkState] = {
    (LinkState.DOWN, "opened"): LinkState.SUBSCRIBING,
    (LinkState.SUBSCRIBING, "acked"): LinkState.LIVE,
    (LinkState.SUBSCRIBING, "failed"): LinkState.FAILED,
    (LinkState.SUBSCRIBING, "lost"): LinkState.DOWN,
    (LinkState.LIVE, "replaced"): LinkState.RETIRING,
    (LinkState.LIVE, "failed"): LinkState.FAILED,
    (LinkState.LIVE, "lost"): LinkState.DOWN,
    (LinkState.RETIRING, "lost"): LinkState.DOWN,
    (LinkState.FAILED, "lost"): LinkState.DOWN,
}
"""Whatever is not here cannot happen; an input that would ask for it is ignored."""

STREAM_TRANSITIONS: dict[tuple[StreamState, str], StreamState] = {
    (StreamState.REQUESTED, "acked"): StreamState.ACKED,
    (StreamState.REQUESTED, "data"): StreamState.LIVE,  # data may come before its answer
    (StreamState.ACKED, "data"): StreamState.LIVE,
    (StreamState.ACKED, "silent"): StreamState.STALE,
    (StreamState.LIVE, "silent"): StreamState.STALE,
    (StreamState.STALE, "data"): StreamState.LIVE,
    (StreamState.STALE, "requested"): StreamState.REQUESTED,
}
"""The same for streams. ``silent``: REST shows newer ids than the stream has brought."""


def diagram(table: Mapping[tuple[_State, str], _State]) -> str:
    """Return a table of transitions as a Mermaid state diagram.

    >>> print(diagram({(LinkState.DOWN, "opened"): LinkState.SUBSCRIBING}))
    stateDiagram-v2
        down --> subscribing: opened
    """
    ways: dict[tuple[str, str], list[str]] = {}
    for (state, event), to in table.items():
        ways.setdefault((state.value, to.value), []).append(event)
    lines = [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in ways.items()]
    return "\n".join(["stateDiagram-v2", *lines])
