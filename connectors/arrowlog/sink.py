"""Bytewax shell over a writer with a log: what belongs to a key always meets the same partition."""

import os
import threading
from abc import abstractmethod
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from zlib import crc32

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.arrowlog.files import log_folder
from connectors.arrowlog.journal import Journal, Mark
from connectors.durable import clean
from connectors.shutdown import one_error

V = TypeVar("V")
T = TypeVar("T", contravariant=True)
S = TypeVar("S")


class Writer(Protocol[T, S]):
    """What a partition drives; `S` is its snapshot, which has the log's place as ``log``."""

    def write(self, value: T) -> None:
        """Take a value."""

    def flush_all(self) -> None:
        """Make files of everything."""

    def snapshot(self) -> S:
        """Make what is pending last; return where to go on."""

    def restore(self, snapshot: S) -> None:
        """Go on from a snapshot."""

    def begin(self, run: str) -> None:
        """Begin without one."""


class LoggedPartition(StatefulSinkPartition[V, S], Generic[V, S]):
    """One writer and its log."""

    def __init__(self, writer: Writer[V, S], journal: Journal, *, resumable: bool) -> None:
        self._writer = writer
        self._journal = journal
        self._resumable = resumable

    def write_batch(self, values: list[V]) -> None:
        """Take values; what the writer does not store is ignored."""
        with one_error():
            for value in values:
                self._writer.write(value)

    def snapshot(self) -> S:
        """Make what is pending last; the snapshot is a place in the log."""
        with one_error():
            return self._writer.snapshot()

    def close(self) -> None:
        """Put the pending rows into files: the input is at its end."""
        keep = True
        try:
            with one_error(closing=True):
                self._writer.flush_all()
                keep = self._resumable
        finally:
            self._journal.close(keep=keep)


class LoggedSink(FixedPartitionedSink[V, S], Generic[V, S]):
    """Writers side by side below one folder, each with its own log.

    Args:
        root: Where the writers' files are.
        service: What they are, for names and errors: ``lake``, ``recording``.
        partitions: How many; fixed for a deployment.
        resumable: Whether a later run may go on from this one's snapshots. If not, a clean end
            removes the logs.

    """

    def __init__(self, root: Path, service: str, partitions: int, *, resumable: bool) -> None:
        self._root = root
        self._service = service
        self._partitions = partitions
        self._resumable = resumable
        self._run = ""
        self._building = threading.Lock()
        self._cleaned = False

    def list_parts(self) -> list[str]:
        """Return a name per writer."""
        return [f"{self._service}-{n:02d}" for n in range(self._partitions)]

    def part_fn(self, item_key: str) -> int:
        """Return a number that is the same for a key on every machine and in every run."""
        return crc32(item_key.encode())

    def build_part(
        self, _step_id: str, for_part: str, resume_state: S | None
    ) -> LoggedPartition[V, S]:
        """Return a writer that goes on where its snapshot stood."""
        with self._building, one_error():
            if not self._cleaned:  # once per process, by whichever partition is first
                self._cleaned = True
                clean(self._root)
            journal = Journal(log_folder(self._root, for_part), service=self._service)
            try:
                writer = self._writer(journal, for_part)
                self._start(writer, resume_state)
            except BaseException:
                journal.close()
                raise
        return LoggedPartition(writer, journal, resumable=self._resumable)

    def _start(self, writer: Writer[V, S], state: Any) -> None:  # noqa: ANN401 - S, or of an older version
        # A partition that had nothing before the snapshot has none of its own. What its log then
        # holds of this run came behind the snapshot, which another partition tells.
        if state is None:
            self._run = self._run or os.urandom(8).hex()
            writer.begin(self._run)
        else:
            writer.restore(state)
            mark: Mark = state["log"]
            self._run = mark["run"]

    @abstractmethod
    def _writer(self, journal: Journal, name: str) -> Writer[V, S]: ...
