"""What a certificate holds, and its form in JSON."""

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from core.ledger.ids import Span
from core.ledger.recount import KlineCheck
from core.ledger.silences import Silence

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - printed with a Z: all times are UTC
FORMAT = 1
"""Of the JSON form."""


class State(StrEnum):
    """What is known of a day."""

    COMPLETE = "complete"
    REPAIRED = "complete-repaired"
    HALT = "complete-with-halt"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Missing:
    """Ids that are not held, and the times between which they lie.

    `first_id` or `last_id` is None where nothing is held on that side. `evidence` says what is
    known of the reason.
    """

    first_id: int | None
    last_id: int | None
    start_us: int
    end_us: int
    evidence: str

    @property
    def between(self) -> bool:
        """Whether trades are held on both sides."""
        return self.first_id is not None and self.last_id is not None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a day is incomplete: a word for programs and a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Boundary:
    """A link came or went; `proven` says that no id is missing across that moment."""

    kind: str
    link: str
    time_us: int
    proven: bool


@dataclass(frozen=True, slots=True)
class Halt:
    """The exchange gave this status in ``start_us <= t < end_us``."""

    status: str
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class Named:
    """A hole that the flow itself named, with its evidence."""

    first_id: int
    last_id: int
    time_us: int
    reason: str


@dataclass(frozen=True, slots=True)
class FileSum:
    """A file of the day, named from the lake's folder on."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Happened:
    """What the events of a day say."""

    gaps: tuple[Named, ...] = ()
    halts: tuple[Halt, ...] = ()
    links: tuple[tuple[str, str, int], ...] = ()  # kind, link, time
    late: int = 0
    kline_mismatches: tuple[str, ...] = ()
    strategy_errors: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Certificate:
    """The verdict and all that it rests on."""

    key: str
    day: str
    state: State
    reasons: tuple[Reason, ...]
    rows: int
    live: int
    repaired: int
    held: tuple[Span, ...]
    repaired_ids: tuple[Span, ...]
    missing: tuple[Missing, ...]
    duplicates: int
    silences: tuple[Silence, ...]
    halts: tuple[Halt, ...]
    gaps: tuple[Named, ...]
    boundaries: tuple[Boundary, ...]
    late: int
    quarantined: int
    strategy_errors: int
    klines: KlineCheck | None
    kline_mismatches: tuple[str, ...]
    files: tuple[FileSum, ...]

    @property
    def complete(self) -> bool:
        """Whether it is complete, in whatever way."""
        return self.state is not State.INCOMPLETE

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON: times are ISO texts, UTC."""
        return {"format": FORMAT, **plain(self)}


def missing_text(missing: Missing) -> str:
    """Return a missing range as a sentence."""
    first, last = missing.first_id, missing.last_id
    if first is None and last is None:
        ids = "all ids"
    elif first is None:
        ids = f"ids up to {last}"
    elif last is None:
        ids = f"ids from {first} on"
    else:
        ids = f"ids {first}..{last} ({last - first + 1})"
    span = f"{time_text(missing.start_us)} to {time_text(missing.end_us)}"
    return f"{ids}, {span}: {missing.evidence}"


def time_text(time_us: int) -> str:
    """Return a time as ISO text.

    >>> time_text(1_738_281_600_000_001)
    '2025-01-31T00:00:00.000001Z'
    """
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat() + "Z"


def plain(value: Any) -> Any:  # noqa: ANN401 - any tree of records
    """Return records as what JSON knows; fields ``…_us`` become ``…_time`` in ISO text."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _fields({name: getattr(value, name) for name in value._fields})
    if is_dataclass(value):
        return _fields({f.name: getattr(value, f.name) for f in fields(value)})
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in row.items():
        if name == "time_us":
            out["time"] = time_text(value)
        elif name.endswith("_us"):
            out[f"{name.removesuffix('_us')}_time"] = time_text(value)
        else:
            out[name] = plain(value)
    return out
