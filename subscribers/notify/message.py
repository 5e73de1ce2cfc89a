"""Messages, and several of them as one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from pydantic import TypeAdapter

from config.notify import Severity
from subscribers.notify.kinds import RANKS

Why = Literal["grouped", "over", "old"]

SUMMARY = "summary"
"""The kind of several messages that are sent as one."""

_LINES = 10
_NAMES = 10
_IDS = 500


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to a channel.

    Attributes:
        id: The same whenever it is sent again: a record's own, or one made of those of several.
        kind: ``signal``, ``fill``, the kind of an event, ``summary`` or ``test``.
        severity: ``info``, ``warning`` or ``critical``.
        title: A few words.
        text: What happened.
        records: Ids of the records that it tells of.
        time_us: When the newest of them happened, by the exchange's clock.
        record: What it tells of, as plain values.
        symbol: Of which symbol, where it is one.
        grouped: Whether it may wait a moment to become one with others.
        sealed: Whether it may have been sent already, so that it goes out as it is.

    """

    id: str
    kind: str
    severity: Severity
    title: str
    text: str
    records: tuple[str, ...]
    time_us: int = 0
    record: dict[str, Any] = field(default_factory=dict)
    symbol: str = ""
    grouped: bool = False
    sealed: bool = False

    def as_json(self) -> bytes:
        """Return it as text that `from_json` reads."""
        return _MESSAGES.dump_json(self)


_MESSAGES = TypeAdapter(Message)


def from_json(text: str | bytes) -> Message:
    """Return the message that `as_json` was called on; raises `pydantic.ValidationError`."""
    return _MESSAGES.validate_json(text)


def summary(messages: Sequence[Message], why: Why, limit: str) -> Message:
    """Return one message that tells of several, at least one.

    Args:
        messages: Oldest first.
        why: They came together, were over the limit, or are too old.
        limit: What the limit or the age is, for people.

    """
    records = tuple(one for message in messages for one in message.records)
    counts = Counter(message.kind for message in messages)
    parts = ", ".join(f"{count} {_said(kind, count)}" for kind, count in counts.most_common())
    tails = {"grouped": "", "over": f" (over {limit})", "old": f" (older than {limit})"}
    return Message(
        id=_id_of(records),
        kind=SUMMARY,
        severity=max((m.severity for m in messages), key=RANKS.__getitem__),
        title=parts + tails[why],
        text=_lines(messages, counts),
        records=records,
        time_us=max(m.time_us for m in messages),
        record={
            "why": why,
            "count": len(records),
            "kinds": dict(counts),
            "ids": list(records[:_IDS]),
        },
    )


def _id_of(records: Sequence[str]) -> str:
    if len(records) == 1:
        return records[0]
    return f"{len(records)}-{sha256(chr(10).join(records).encode()).hexdigest()[:24]}"


def _said(kind: str, count: int) -> str:
    name = kind.replace("_", " ")
    return f"{name}s" if kind in {"signal", "fill", "gap"} and count > 1 else name


def _lines(messages: Sequence[Message], counts: Counter[str]) -> str:
    if len(messages) <= _LINES:
        return "\n".join(message.text for message in messages)
    lines = [_of_kind(messages, kind, count) for kind, count in counts.most_common(_LINES)]
    gravest = max(RANKS[m.severity] for m in messages)
    # Signals of the same severity are worth more than what happened on a connection.
    some = [m for m in messages if RANKS[m.severity] == gravest]
    direct = [m for m in some if not m.grouped] or some
    shown = [m.text[:200] for m in direct[: _LINES // 2]]
    return "\n".join([*lines, *shown, f"… and {len(messages) - len(shown)} more"])


def _of_kind(messages: Sequence[Message], kind: str, count: int) -> str:
    symbols = list(dict.fromkeys(m.symbol for m in messages if m.kind == kind and m.symbol))
    more = f" and {len(symbols) - _NAMES} more" if len(symbols) > _NAMES else ""
    names = f": {' '.join(symbols[:_NAMES])}{more}" if symbols else ""
    return f"{count} {_said(kind, count)}{names}"
