"""Bytewax shell over the writer: the frames of a shard always meet the same partition."""

from pathlib import Path

from connectors.arrowlog.journal import Journal
from connectors.arrowlog.sink import LoggedSink
from connectors.recording.writer import RecordingWriter, Rotation, Snapshot
from core.market.events import Frame


class RecordingSink(LoggedSink[Frame, Snapshot]):
    """Stores ``(shard's key, Frame)`` below a folder.

    Args:
        path: The folder of recordings.
        rotation: When a file is full.
        partitions: Writers side by side; fixed for a deployment.
        resumable: Whether a later run may go on from this one's snapshots. If not, a clean end
            removes the logs.

    """

    def __init__(
        self,
        path: Path,
        rotation: Rotation | None = None,
        *,
        partitions: int = 4,
        resumable: bool = True,
    ) -> None:
        super().__init__(path, "recording", partitions, resumable=resumable)
        self._path = path
        self._rotation = rotation

    def _writer(self, journal: Journal, name: str) -> RecordingWriter:
        return RecordingWriter(self._path, self._rotation, journal)
