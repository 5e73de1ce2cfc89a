"""Bytewax shell over the writer: records of an instrument always meet the same partition."""

from typing import Any

from connectors.arrowlog.journal import Journal
from connectors.arrowlog.sink import LoggedSink
from connectors.parquet.config import LakeConfig
from connectors.parquet.writer import LakeWriter, Snapshot
from telemetry import metrics
from telemetry.books import BOOKS


class LakeSink(LoggedSink[Any, Snapshot]):
    """Stores ``(key, record)`` of trades, final klines, signals and events.

    Args:
        config: Where the lake is and when a file is full.
        resumable: Whether a later run may go on from this one's snapshots. If not, a clean end
            removes the logs.

    """

    def __init__(self, config: LakeConfig, *, resumable: bool = True) -> None:
        super().__init__(config.path, "lake", config.partitions, resumable=resumable)
        self._config = config

    def _writer(self, journal: Journal, name: str) -> LakeWriter:
        writer = LakeWriter(self._config, journal)
        metrics.LAKE_PENDING.labels(name).set_function(lambda: writer.pending_rows)
        BOOKS.open_writer(name, lambda: writer.pending_trades)
        return writer
