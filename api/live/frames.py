"""Frames as JSON: put together of parts that were made once for all clients."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from api.live.mailbox import Path, Tape, Value
from api.live.ring import Logged


def frame(
    n: int,
    time_ms: int,
    cursor: str | None,
    *,
    events: Iterable[Logged] = (),
    values: Mapping[Path, Value] | None = None,
    tapes: Mapping[str, Tape] | None = None,
    reset: bool = False,
) -> bytes:
    """Return a frame; tapes are cleared."""
    body: dict[str, Any] = {
        "n": n,
        "time_ms": time_ms,
        "cursor": cursor,
        "events": [orjson.Fragment(entry.body) for entry in events],
        "latest": _nested(values or {}),
        "tape": {topic: _tape(tape) for topic, tape in (tapes or {}).items()},
    }
    if reset:
        body["reset"] = True
    return orjson.dumps(body)


def error(status: int, detail: str, field: str, hint: str) -> bytes:
    """Return a frame that says what is wrong."""
    told = {"status": status, "detail": detail, "field": field or None, "hint": hint or None}
    return orjson.dumps({"error": {name: value for name, value in told.items() if value}})


def _nested(values: Mapping[Path, Value]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in values.items():
        at = found
        for part in path[:-1]:
            at = at.setdefault(part, {})
        at[path[-1]] = orjson.Fragment(value.body)
    return found


def _tape(tape: Tape) -> dict[str, Any]:
    told = {
        "trades": [orjson.Fragment(trade) for trade in tape.trades],
        "skipped": tape.skipped,
        "total": tape.total,
    }
    tape.clear()
    return told
