"""Where records go: Redis Streams, the Parquet lake, their hashes, and raw inputs to recordings."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from bytewax.outputs import DynamicSink, Sink, StatelessSinkPartition

from config.settings import Settings
from connectors.durable import usable
from connectors.parquet.sink import LakeSink
from connectors.recording.sink import RecordingSink
from connectors.redis.sink import RedisSink
from core.market.events import Event
from core.market.kline import Kline
from core.market.ml import Learned
from core.market.paper import Equity, Fill
from core.market.signal import Signal
from core.market.trades import Trades
from dataflows.addresses import redis_url
from dataflows.parity import ParitySink, Run, settings_of
from dataflows.setup import kline_plan, paper_of

Record: TypeAlias = Trades | Kline | Signal | Fill | Equity | Event | Learned
"""What is stored and published; each has one schema."""

Records: TypeAlias = dict[str, Sink[Any]]
"""Sinks of ``(key, Record)`` by step name; each has snapshots of its own kind."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Sinks by step name, the one of raw inputs, and the one that hashes what was emitted."""

    records: Records = field(default_factory=dict)
    recording: Sink[Any] | None = None
    parity: Sink[Any] | None = None


def chosen(settings: Settings, *, lake: bool, redis: bool) -> Records:
    """Return the sinks of records that are wanted, by step name."""
    records: Records = {}
    if lake:
        usable(settings.lake.path, service="lake")
        records["lake"] = LakeSink(settings.lake)
    url = redis_url(settings) if redis else None
    if url is not None:
        records["redis"] = RedisSink(settings.redis.model_copy(update={"url": url}))
    return records


def outputs_of(settings: Settings) -> Outputs:
    """Return the sinks that the settings ask for."""
    records = chosen(settings, lake=True, redis=True)
    if not settings.recording.enabled:
        return Outputs(records)  # with no recording there is nothing to hold the hashes against
    plan, paper = kline_plan(settings), paper_of(settings)
    told = settings_of(plan, settings.strategies, paper, settings.ml)
    parity = ParitySink(settings.lake.path, Run(time.time_ns() // 1000, told))
    return Outputs(records, recorder(settings.recording.path), parity)


def recorder(path: Path) -> RecordingSink:
    """Return the sink of raw inputs."""
    usable(path, service="recording")
    return RecordingSink(path)


class Discard(DynamicSink[tuple[str, Record]]):
    """Takes everything and keeps nothing: for a replay that only wants the counts."""

    def build(
        self, _step_id: str, _worker_index: int, _worker_count: int
    ) -> "StatelessSinkPartition[tuple[str, Record]]":
        """Return a partition."""
        return _Nothing()


class _Nothing(StatelessSinkPartition[tuple[str, Record]]):
    def write_batch(self, items: list[tuple[str, Record]]) -> None:
        """Drop a batch."""
