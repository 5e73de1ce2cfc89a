"""What was found out about a file while it was read: for the summary, never for a decision."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(slots=True)
class FileFacts:
    """One file's account; it is whole when the file has been read to its end.

    Attributes:
        path: The file.
        kind: ``trades``, ``aggTrades``, ``klines`` or ``frames``.
        key: The instrument's key; empty for frames.
        rows: Rows, klines or frames that were handed out.
        refused: Lines that could not be used; each, or their sum, is a `Quarantined`.
        repeated: Klines that stood there more than once and were used once.
        notes: Lines of a capture about the connection.
        checksum: Whether there was a ``.CHECKSUM`` beside it, and it fitted.
        units: Of the times: ``ms``, ``us``, ``iso``, as far as they occurred.
        ordered: Whether the rows stood in the order in which they were handed out.
        torn: Why the file could not be read to its end; empty when it could.

    """

    path: Path
    kind: str
    key: str = ""
    rows: int = 0
    refused: int = 0
    repeated: int = 0
    notes: int = 0
    checksum: Literal["missing", "checked"] = "missing"
    units: set[str] = field(default_factory=set)
    ordered: bool = True
    torn: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "key": self.key,
            "rows": self.rows,
            "refused": self.refused,
            "repeated": self.repeated,
            "notes": self.notes,
            "checksum": self.checksum,
            "units": "+".join(sorted(self.units)),
            "ordered": self.ordered,
            "torn": self.torn,
        }
