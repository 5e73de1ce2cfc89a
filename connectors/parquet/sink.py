"""Bytewax shell over the writer: records of an instrument always meet the same partition."""

from typing import Any
from zlib import crc32

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.durable import clean
from connectors.parquet.config import LakeConfig
from connectors.parquet.writer import LakeWriter, Snapshot
from connectors.shutdown import one_error


class LakePartition(StatefulSinkPartition[Any, Snapshot]):
    """One writer; its snapshot holds the rows that are in no file yet."""

    def __init__(self, writer: LakeWriter) -> None:
        self._writer = writer

    def write_batch(self, values: list[Any]) -> None:
        """Take records; what the lake does not store is ignored."""
        with one_error():
            for value in values:
                self._writer.write(value)

    def snapshot(self) -> Snapshot:
        """Return the pending rows."""
        return self._writer.snapshot()

    def close(self) -> None:
        """Put the pending rows into files: the input is at its end."""
        with one_error(closing=True):
            self._writer.flush_all()


class LakeSink(FixedPartitionedSink[Any, Snapshot]):
    """Stores ``(key, record)`` of trades, final klines, signals and events."""

    def __init__(self, config: LakeConfig) -> None:
        self._config = config
        self._cleaned = False

    def list_parts(self) -> list[str]:
        """Return a name per writer."""
        return [f"lake-{n:02d}" for n in range(self._config.partitions)]

    def part_fn(self, item_key: str) -> int:
        """Return a number that is the same for a key on every machine and in every run."""
        return crc32(item_key.encode())

    def build_part(
        self, _step_id: str, for_part: str, resume_state: Snapshot | None
    ) -> LakePartition:
        """Return a writer that goes on where its snapshot stood."""
        if not self._cleaned:  # once per process, by whichever partition is first
            self._cleaned = True
            clean(self._config.path)
        writer = LakeWriter(self._config)
        if resume_state is not None:
            writer.restore(resume_state)
        return LakePartition(writer)
