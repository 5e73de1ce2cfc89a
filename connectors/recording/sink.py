"""Bytewax shell over the writer: the frames of a shard always meet the same partition."""

from pathlib import Path
from zlib import crc32

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.durable import clean
from connectors.recording.writer import RecordingWriter, Rotation, Snapshot
from connectors.shutdown import one_error
from core.market.events import Frame


class RecordingPartition(StatefulSinkPartition[Frame, Snapshot]):
    """One writer; its snapshot holds the frames that are in no file yet."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._writer = writer

    def write_batch(self, values: list[Frame]) -> None:
        """Take frames."""
        with one_error():
            for frame in values:
                self._writer.write(frame)

    def snapshot(self) -> Snapshot:
        """Return the pending frames."""
        return self._writer.snapshot()

    def close(self) -> None:
        """Put the pending frames into files: the input is at its end."""
        with one_error(closing=True):
            self._writer.flush_all()


class RecordingSink(FixedPartitionedSink[Frame, Snapshot]):
    """Stores ``(shard's key, Frame)`` below a folder.

    Args:
        path: The folder of recordings.
        rotation: When a file is full.
        partitions: Writers side by side; fixed for a deployment.

    """

    def __init__(
        self, path: Path, rotation: Rotation | None = None, *, partitions: int = 4
    ) -> None:
        self._path = path
        self._rotation = rotation
        self._partitions = partitions
        self._cleaned = False

    def list_parts(self) -> list[str]:
        """Return a name per writer."""
        return [f"recording-{n:02d}" for n in range(self._partitions)]

    def part_fn(self, item_key: str) -> int:
        """Return a number that is the same for a key on every machine and in every run."""
        return crc32(item_key.encode())

    def build_part(
        self, _step_id: str, for_part: str, resume_state: Snapshot | None
    ) -> RecordingPartition:
        """Return a writer that goes on where its snapshot stood."""
        if not self._cleaned:  # once per process, by whichever partition is first
            self._cleaned = True
            clean(self._path)
        writer = RecordingWriter(self._path, self._rotation)
        if resume_state is not None:
            writer.restore(resume_state)
        return RecordingPartition(writer)
