"""Records what a source received, as received and in that order.

What has reached a file stays: a run that starts again from an older snapshot adds its own frames
behind, because these are what was received, and a replay drops the trades that came twice.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypedDict

import pyarrow as pa

from connectors.durable import publish
from connectors.recording.files import (
    Batch,
    encode,
    file_name,
    folder,
    numbered,
    rows_of,
    to_batch,
)
from core.market.errors import SnapshotError
from core.market.events import Frame

Span: TypeAlias = tuple[int, int]

VERSION = 1
"""Of the snapshot."""


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
    """Frames in no file yet, by key: the file's number and an Arrow IPC stream."""

    version: int
    open: list[tuple[str, int, bytes]]


class Pending:
    """Frames of one open file."""

    def __init__(self, number: int, span: Span) -> None:
        self.number, self.span = number, span
        self.chars = 0
        self._loaded: Batch | None = None
        self._frames: list[Frame] = []

    @property
    def rows(self) -> int:
        """Frames so far."""
        return len(self._frames) + (int(self._loaded.num_rows) if self._loaded else 0)

    def append(self, frame: Frame) -> None:
        """Take a frame."""
        self._frames.append(frame)
        self.chars += len(frame.payload)

    def batch(self) -> Batch:
        """Return all frames."""
        fresh = to_batch(self._frames)
        return pa.concat_batches([self._loaded, fresh]) if self._loaded else fresh

    def load(self, batch: Batch) -> None:
        """Take back what `batch` gave."""
        self._loaded, self._frames = batch, []
        self.chars = sum(map(len, batch.column("payload").to_pylist()))


class RecordingWriter:
    """Writes frames of several shards below one folder."""

    def __init__(self, root: Path, rotation: Rotation | None = None) -> None:
        self._root = root
        self._rotation = rotation or Rotation()
        self._open: dict[str, Pending] = {}
        self._last: dict[str, int] = {}  # by key: number of its newest file

    def write(self, frame: Frame) -> None:
        """Take a frame.

        Raises:
            ServiceError: A file was full and could not be written; its frames are still pending.

        """
        pending = self._open.get(frame.key)
        if pending and not pending.span[0] <= frame.received_us < pending.span[1]:
            self._close(frame.key)
            pending = None
        if pending is None:
            pending = self._open[frame.key] = self._begin(frame)
        pending.append(frame)
        if pending.rows >= self._rotation.rows or pending.chars >= self._rotation.chars:
            self._close(frame.key)

    def flush_all(self) -> None:
        """Close every open file."""
        for key in list(self._open):
            self._close(key)

    def snapshot(self) -> Snapshot:
        """Return the frames that are in no file yet."""
        return Snapshot(
            version=VERSION,
            open=[(key, p.number, encode_stream(p.batch())) for key, p in self._open.items()],
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; frames that have reached a file since are not pending any more.

        Raises:
            SnapshotError: It is of another version.

        """
        if snapshot["version"] != VERSION:
            raise SnapshotError("the recording's pending frames", snapshot["version"], VERSION)
        for key, number, data in snapshot["open"]:
            with pa.ipc.open_stream(data) as reader:
                batch = reader.read_next_batch()
            path = folder(self._root, key) / file_name(number)
            if path.exists() and rows_of(path) >= batch.num_rows:
                continue
            pending = Pending(number, self._rotation.span_of(batch.column("received")[0].value))
            pending.load(batch)
            self._open[key] = pending

    def _begin(self, frame: Frame) -> Pending:
        if frame.key not in self._last:
            there = numbered(folder(self._root, frame.key))
            self._last[frame.key] = there[-1][0] if there else -1
        number = max(frame.received_us, self._last[frame.key] + 1)
        return Pending(number, self._rotation.span_of(frame.received_us))

    def _close(self, key: str) -> None:
        pending = self._open[key]
        path = folder(self._root, key) / file_name(pending.number)
        publish(path, encode(key, pending.batch()), service="recording")
        self._last[key] = pending.number
        del self._open[key]


def encode_stream(batch: Batch) -> bytes:
    """Return a batch as an Arrow IPC stream, compressed."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())
