"""What Redis says of a stream and a group, as values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Row: TypeAlias = tuple[str, dict[str, str]]
"""(id, fields) of an entry."""

FIRST = "0-0"
"""Below all ids."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a stream and the group are at one moment.

    Attributes:
        length: Entries in the stream.
        added: Entries that were ever in it.
        first: Id of the oldest one; empty: there is none.
        newest: Id of the newest that was ever in it.
        group: Whether the group exists; what follows is about it.
        last: Id of the last entry handed out.
        read: Entries up to there, trimmed ones included; None: not known.
        lag: What the server says is still to be handed out; None: not known.
        pending: Entries handed out and not acknowledged.
        oldest_pending: Id of the first of them; empty: there is none.

    """

    length: int
    added: int
    first: str
    newest: str
    group: bool = False
    last: str = FIRST
    read: int | None = None
    lag: int | None = None
    pending: int = 0
    oldest_pending: str = ""

    @property
    def gone(self) -> int:
        """Entries that were trimmed away."""
        return self.added - self.length


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry handed out and not acknowledged: by whom it is held, since when, which time."""

    id: str
    consumer: str
    idle_ms: int
    deliveries: int


def look_of(answers: Sequence[Any], name: str) -> Look | None:
    """Return what XINFO STREAM, XINFO GROUPS and XPENDING say of a group; None: no such stream."""
    stream, groups, pending = answers
    if isinstance(stream, Exception):
        return None
    bare = Look(
        stream["length"],
        stream["entries-added"],
        stream["first-entry"][0] if stream["first-entry"] else "",
        stream["last-generated-id"],
    )
    found = [] if isinstance(groups, Exception) else [g for g in groups if g["name"] == name]
    if not found or isinstance(pending, Exception):
        return bare
    return _with_group(bare, found[0], pending)


def _with_group(bare: Look, group: dict[str, Any], pending: dict[str, Any]) -> Look:
    return replace(
        bare,
        group=True,
        last=group["last-delivered-id"],
        read=group.get("entries-read"),
        lag=group.get("lag"),
        pending=pending["pending"],
        oldest_pending=pending["min"] or "",
    )


def rows_of(answer: Any) -> list[Row]:  # noqa: ANN401 - rows by stream, nothing, or a refusal
    """Return the rows of one stream as XREADGROUP answers; none where it refuses."""
    if isinstance(answer, Exception) or not answer:
        return []
    return [(str(i), fields) for _, rows in answer for i, fields in rows if fields]


def waiting_of(answer: Any) -> list[Waiting]:  # noqa: ANN401 - a list, or a refusal
    """Return what XPENDING lists; nothing where it refuses."""
    if isinstance(answer, Exception):
        return []
    return [
        Waiting(
            row["message_id"], row["consumer"], row["time_since_delivered"], row["times_delivered"]
        )
        for row in answer
    ]
