"""Why a flow ended: what its processes told, else what their stderr says.

Bytewax prints an exception's traceback where there is one process. In a cluster it prints only that
a peer is gone, on every side; so the processes note their first error themselves.
"""

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

USAGE = 2
"""Exit code of a user's mistake: to start again would not help."""

_ERROR = re.compile(r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b.*")
_OF_OTHERS = ("Send thread panic", "PanicException", "BytewaxRuntimeError")


@dataclass(frozen=True, slots=True)
class Ending:
    """How one process ended: exit code (negative: a signal), last lines of stderr, own account."""

    code: int
    lines: Sequence[str] = ()
    failure: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the flow ended; `told` says whether people have read the text already."""

    text: str
    exit_code: int
    told: bool = False


def cause_of(endings: Mapping[int, Ending], first: int) -> Cause:
    """Return why a flow ended.

    Args:
        endings: By process.
        first: The process that was seen to end first.

    """
    for ending in endings.values():
        if ending.failure is not None:
            text, code = str(ending.failure["text"]), int(ending.failure["exit_code"])
            return Cause(text, code, told=any(ln.startswith("error: ") for ln in ending.lines))
    for ending in endings.values():
        if ending.code == USAGE:
            return Cause(_said(ending.lines) or "wrong usage", USAGE, told=True)
    for ending in (endings[first], *endings.values()):
        said = _said(ending.lines)
        if said:
            return Cause(said, 1)
    return Cause(_described(endings[first].code), 1)


def _said(lines: Sequence[str]) -> str:
    for line in reversed(lines):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
        if _ERROR.match(line) and not any(other in line for other in _OF_OTHERS):
            return line
    return ""


def _described(code: int) -> str:
    if code < 0:
        try:
            return f"ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"ended by signal {-code}"
    return f"ended with exit code {code}"
