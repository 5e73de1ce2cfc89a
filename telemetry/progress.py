"""How far a bounded input has been read: sources write it, the command line draws it."""

from dataclasses import dataclass, field
from threading import Lock


@dataclass(slots=True)
class Progress:
    """Bytes of input read so far and in all, and the rows that were in them."""

    total_bytes: int = 0
    done_bytes: int = 0
    rows: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def expect(self, size: int) -> None:
        """Add a file of that many bytes to what is to be read."""
        with self._lock:
            self.total_bytes += size

    def advance(self, size: int, rows: int) -> None:
        """Count bytes and rows as read."""
        with self._lock:
            self.done_bytes += size
            self.rows += rows


PROGRESS = Progress()
"""The process's own."""
