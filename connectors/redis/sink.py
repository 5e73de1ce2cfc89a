"""Bytewax shell over the writer: records of an instrument always meet the same partition."""

from zlib import crc32

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.redis.codec import Record
from connectors.redis.config import RedisConfig
from connectors.redis.outbox import Snapshot
from connectors.redis.writer import Writer
from connectors.shutdown import one_error


class RedisPartition(StatefulSinkPartition[Record, Snapshot]):
    """One writer; its snapshot is its outbox."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write_batch(self, values: list[Record]) -> None:
        """Publish records; blocks only while the outbox is full."""
        with one_error():
            self._writer.publish(values, wait=False)

    def idle(self) -> None:
        """Hear what Redis said meanwhile; never waits."""
        with one_error():
            self._writer.listen()

    def snapshot(self) -> Snapshot:
        """Return what Redis may not have."""
        return self._writer.snapshot()

    def close(self) -> None:
        """Send what waits and hang up."""
        with one_error(closing=True):
            self._writer.close()


class RedisSink(FixedPartitionedSink[Record, Snapshot]):
    """Publishes ``(key, record)``."""

    def __init__(self, config: RedisConfig) -> None:
        self._config = config

    def list_parts(self) -> list[str]:
        """Return a name per writer."""
        return [f"redis-{n:02d}" for n in range(self._config.partitions)]

    def part_fn(self, item_key: str) -> int:
        """Return a number that is the same for a key on every machine and in every run."""
        return crc32(item_key.encode())

    def build_part(
        self, _step_id: str, for_part: str, resume_state: Snapshot | None
    ) -> RedisPartition:
        """Return a writer that first sends again what its snapshot held."""
        writer = Writer(self._config, name=for_part)
        if resume_state is not None:
            writer.restore(resume_state)
        return RedisPartition(writer)
