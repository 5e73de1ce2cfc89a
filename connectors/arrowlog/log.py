"""An append-only log in segments: a position in it never changes its meaning.

    <folder>/lock                                who writes the log holds it
    <folder>/3f9a01c2-00000000000016777216.log   run, and the position of the segment's first byte

Positions count bytes since the log began. What lies behind a position can be cut off, what lies
before one dropped, segment by segment. A torn end (kill, power cut, full disk) is never read.
"""

import contextlib
import fcntl
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connectors.arrowlog.frames import About, Batch, Frame, decode, encode
from connectors.durable import explain, make_folder, sync_folder
from core.market.errors import ServiceError

LOG = logging.getLogger("cryptotools.log")

SEGMENT_BYTES = 8 << 20
_LOCK = "lock"
_NAME = re.compile(r"([0-9a-f]+)-(\d{20})\.log", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A file of a log."""

    run: str
    start: int
    path: Path


def segments(folder: Path) -> list[Segment]:
    """Return the segments in a folder, in order; none if it is not there."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            match = _NAME.fullmatch(entry.name)
            if match:
                found.append(Segment(match[1], int(match[2]), Path(entry.path)))
    return sorted(found)


def frames(found: list[Segment], start: int = 0) -> Iterator[Frame]:
    """Yield the whole frames of segments from position `start` on, up to the first torn one.

    Raises:
        FileNotFoundError: The writer dropped a segment meanwhile; look again.

    """
    at = found[0].start if found else 0
    for n, segment in enumerate(found):
        if n + 1 < len(found) and found[n + 1].start <= start:
            at = found[n + 1].start
            continue
        if segment.start != at:
            return
        data = memoryview(segment.path.read_bytes())
        for frame in decode(data, at):
            at = frame.end
            if frame.start >= start:
                yield frame


class Log:
    """One writer's log; whoever opens it holds its lock until `close`.

    Args:
        folder: Where it is; made when missing.
        service: Who writes, for errors: ``lake``, ``recording``.
        segment_bytes: Bytes after which a new segment begins.

    Raises:
        ServiceError: Somebody else writes it, or the folder cannot be used; later: the disk is
            full. What was whole before stays whole.

    """

    def __init__(self, folder: Path, *, service: str, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self._service = service
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._unsynced = False
        self._lock = self._locked()
        self._segments = segments(folder)
        self.run = self._segments[-1].run if self._segments else ""
        self.position = 0
        self._mend()

    @property
    def start(self) -> int:
        """Position of the first byte that is held."""
        return self._segments[0].start if self._segments else self.position

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the frames from a position on."""
        return frames(self._segments, start)

    def append(self, about: About, batch: Batch | None = None) -> int:
        """Add a frame; return where it begins. It lasts once `sync` was called."""
        pieces = encode(about, batch)
        if self._segments and self.position - self._segments[-1].start >= self._segment_bytes:
            self.sync()
            self._shut()
            self._begin()
        elif not self._segments:
            self._begin()
        with self._explained():
            self._write(pieces)
        self._unsynced, began = True, self.position
        self.position += sum(map(len, pieces))
        return began

    def sync(self) -> None:
        """Make all frames last."""
        if self._unsynced:
            with self._explained():
                os.fsync(self._opened())
            self._unsynced = False

    def cut(self, position: int) -> None:
        """Forget what lies behind a position, which must be the end of a frame."""
        self._shut()
        with self._explained():
            while len(self._segments) > 1 and self._segments[-1].start > position:
                self._segments.pop().path.unlink(missing_ok=True)
            self.position = position
            if self._segments:
                os.ftruncate(self._opened(), position - self._segments[-1].start)
                os.fsync(self._opened())
            sync_folder(self.folder)
        self._unsynced = False

    def drop_before(self, position: int) -> None:
        """Remove the segments that end at or before a position."""
        with self._explained():
            while len(self._segments) > 1 and self._segments[1].start <= position:
                self._segments.pop(0).path.unlink(missing_ok=True)

    def clear(self, run: str) -> None:
        """Forget everything; what follows is the log of `run`."""
        self._shut()
        with self._explained():
            while self._segments:
                self._segments.pop().path.unlink(missing_ok=True)
        self.run, self.position, self._unsynced = run, 0, False

    def close(self) -> None:
        """Let go of the lock."""
        self._shut()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _locked(self) -> int | None:
        try:
            make_folder(self.folder)
            lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise explain(self.folder, error, self._service) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            why = f"another process writes {self.folder}"
            hint = "stop it, or give each flow its own folder"
            raise ServiceError(self._service, why, hint=hint) from None
        return lock

    def _mend(self) -> None:
        # The next frame must follow a whole one.
        self.position = max((frame.end for frame in self.frames()), default=self.start)
        held = sum(segment.path.stat().st_size for segment in self._segments)
        torn = held - (self.position - self.start)
        if torn:
            LOG.warning("%s: cut back to its last whole batch: %d torn bytes", self.folder, torn)
            self.cut(self.position)

    def _begin(self) -> None:
        path = self.folder / f"{self.run}-{self.position:020d}.log"
        self._segments.append(Segment(self.run, self.position, path))
        try:
            with self._explained():
                self._opened()
                sync_folder(self.folder)
        except ServiceError:
            self._shut()
            self._segments.pop()
            raise

    def _opened(self) -> int:
        if self._file is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self._segments[-1].path, flags, 0o644)
        return self._file

    def _write(self, pieces: list[bytes | memoryview]) -> None:
        file, before = self._opened(), self.position - self._segments[-1].start
        length = sum(map(len, pieces))
        try:
            written = os.writev(file, pieces)
            rest = memoryview(b"".join(pieces))[written:] if written < length else memoryview(b"")
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError:
            with contextlib.suppress(OSError):  # the next start cuts it back, if this cannot
                os.ftruncate(file, before)
            raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = self._segments[-1].path if self._segments else self.folder
            raise explain(path, error, self._service) from error

    def _shut(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
