"""Records what a source received, as received and in that order.

Frames since the last file are appended to a log (`connectors.arrowlog.journal` has its rule), a
thousand at a time, the rest when a snapshot is taken. A run that goes on from a snapshot takes the
recording back to it, files included: the recording holds exactly what the flow that goes on has
processed, so that its replay gives the same records. What a dead run left when the next begins
afresh becomes a file, and a replay goes through both runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypedDict

import pyarrow.compute as pc

from connectors.arrowlog.files import cut_back, rows_of
from connectors.arrowlog.journal import Journal, Mark
from connectors.arrowlog.state import Closing, Name
from connectors.durable import publish
from connectors.recording.files import (
    Batch,
    Encoder,
    concatenated,
    encode,
    file_name,
    folder,
    numbered,
    to_batch,
)
from core.market.errors import SnapshotError
from core.market.events import Frame

Span: TypeAlias = tuple[int, int]

VERSION = 2
"""Of the snapshot. Version 1 held the frames themselves."""

_LOG_FRAMES = 1024
"""Frames come one by one; so many at a time become rows, which takes a millisecond or two."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is full; it depends on the frames alone.

    Attributes:
        rows: Frames of a file.
        chars: Characters of payload in a file.
        seconds: Time of receipt that a file spans, counted from the epoch.

    """

    rows: int = 250_000
    chars: int = 32 << 20
    seconds: int = 3600

    def span_of(self, received_us: int) -> Span:
        """Return ``start <= t < end`` of the file for a time, microseconds."""
        length = self.seconds * 1_000_000
        start = received_us - received_us % length
        return start, start + length


class Snapshot(TypedDict):
    """Where to go on: the place in the log up to which frames are pending."""

    version: int
    log: Mark


class Pending:
    """Frames of one open file: the newest as they came, the others packed."""

    def __init__(self, key: str, number: int, span: Span) -> None:
        self.key, self.number, self.span = key, number, span
        self.name: Name = (key, number)
        self.rows = 0
        self.chars = 0
        self.fresh: list[Frame] = []
        self._encoder = Encoder(key)
        self._data: memoryview | None = None

    def append(self, frame: Frame) -> None:
        """Take a frame."""
        self.fresh.append(frame)
        self.rows += 1
        self.chars += len(frame.payload)

    def keep(self, batch: Batch) -> None:
        """Take rows in place of the newest frames, which became them."""
        if self._data is None:
            self._encoder.add(batch)
        self.fresh.clear()

    @property
    def finished(self) -> bool:
        """Whether the file is made, but perhaps not published."""
        return self._data is not None

    def finish(self) -> memoryview:
        """Return the file; it takes no more frames."""
        if self._data is None:
            if self.fresh:
                self._encoder.add(to_batch(self.fresh))
            self._data = self._encoder.finish()
        return self._data

    def load(self, batches: Sequence[Batch]) -> None:
        """Take back what the log held."""
        for batch in batches:
            self._encoder.add(batch)
        self.rows = sum(batch.num_rows for batch in batches)
        self.chars = sum(pc.sum(pc.utf8_length(b.column("payload"))).as_py() for b in batches)


class RecordingWriter:
    """Writes frames of several shards below one folder.

    Args:
        root: The folder.
        rotation: When a file is full.
        journal: The log of pending frames; without one they are in memory only, and there are no
            snapshots.

    """

    def __init__(
        self, root: Path, rotation: Rotation | None = None, journal: Journal | None = None
    ) -> None:
        self._root = root
        self._rotation = rotation or Rotation()
        self._journal = journal
        self._open: dict[str, Pending] = {}
        self._last: dict[str, int] = {}  # by key: number of its newest file
        self._fresh = 0

    def write(self, frame: Frame) -> None:
        """Take a frame.

        Raises:
            ServiceError: A file was full, or the log, and could not be written; its frames are
                still pending.

        """
        pending = self._open.get(frame.key)
        if pending and (
            pending.finished or not pending.span[0] <= frame.received_us < pending.span[1]
        ):
            self._close(pending)
            pending = None
        if pending is None:
            pending = self._open[frame.key] = self._begin(frame)
        pending.append(frame)
        self._fresh += 1
        if pending.rows >= self._rotation.rows or pending.chars >= self._rotation.chars:
            self._close(pending)
        if self._fresh >= _LOG_FRAMES:
            self._gather()

    def flush_all(self) -> None:
        """Close every open file."""
        for pending in list(self._open.values()):
            self._close(pending)

    def snapshot(self) -> Snapshot:
        """Make the pending frames last; return their place.

        Raises:
            ServiceError: The log cannot be written.
            ValueError: There is no log.

        """
        if self._journal is None:
            raise ValueError("a writer without a log has no snapshots")
        self._gather()
        for name in self._journal.stale():
            batch = concatenated(self._journal.read(name))
            self._journal.rows([(name, batch.num_rows)], batch, again=True)
        return Snapshot(version=VERSION, log=self._journal.mark())

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot: take the frames that followed it next.

        Raises:
            SnapshotError: It is of another version.
            ServiceError: The log is gone.

        """
        version = snapshot.get("version")
        if version != VERSION:
            raise SnapshotError(
                "the recording's writer", f"version {version}", f"version {VERSION}"
            )
        if self._journal is not None:
            self._load(self._journal.resume(snapshot["log"], self._cut_back))

    def begin(self, run: str) -> None:
        """Begin without a snapshot: what a dead run left becomes files, unless it is `run` itself.

        Raises:
            ServiceError: A file or the log cannot be written.

        """
        if self._journal is None:
            return
        if self._journal.run == run:
            self._journal.rewind(self._cut_back)
            return
        self._load(self._journal.left())
        for pending in list(self._open.values()):
            path = folder(self._root, pending.key) / file_name(pending.number)
            if path.exists() and rows_of(path) >= pending.rows:
                del self._open[pending.key]  # it died between the file and saying so
        self.flush_all()
        self._journal.begin(run)

    def _load(self, held: dict[Name, list[Batch]]) -> None:
        for name, batches in held.items():
            key, number = str(name[0]), int(name[1])
            span = self._rotation.span_of(batches[0].column("received")[0].value)
            pending = self._open[key] = Pending(key, number, span)
            pending.load(batches)

    def _begin(self, frame: Frame) -> Pending:
        if frame.key not in self._last:
            there = numbered(folder(self._root, frame.key))
            self._last[frame.key] = there[-1][0] if there else -1
        number = max(frame.received_us, self._last[frame.key] + 1)
        return Pending(frame.key, number, self._rotation.span_of(frame.received_us))

    def _gather(self) -> None:
        fresh = [pending for pending in self._open.values() if pending.fresh]
        batches = [to_batch(pending.fresh) for pending in fresh]
        if fresh and self._journal is not None:
            runs = [(pending.name, len(pending.fresh)) for pending in fresh]
            self._journal.rows(runs, concatenated(batches))
        for pending, batch in zip(fresh, batches, strict=True):
            pending.keep(batch)
        self._fresh = 0

    def _close(self, pending: Pending) -> None:
        path = folder(self._root, pending.key) / file_name(pending.number)
        data = pending.finish()
        if self._journal is not None:
            relative = str(path.relative_to(self._root))
            self._journal.closing(Closing(pending.name, relative, pending.rows, undo=True))
        publish(path, data, service="recording")
        if self._journal is not None:
            self._journal.closed(pending.name)
        self._last[pending.key] = pending.number
        del self._open[pending.key]

    def _cut_back(self, closing: Closing, batches: list[Batch]) -> None:
        cut_back(
            self._root,
            closing,
            sum(batch.num_rows for batch in batches),
            lambda: encode(str(closing.name[0]), batches),
            service="recording",
        )
