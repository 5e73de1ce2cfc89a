"""The live flow's source and sinks, as they resume and as the heartbeat sees them."""

import logging
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any, TypeAlias, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, Sink, StatefulSinkPartition
from pydantic import ValidationError

from connectors.shutdown import one_error
from core.market.events import Item
from dataflows.outputs import Outputs
from dataflows.pulse import PULSE
from dataflows.resume import State, brief, kept, resumed
from telemetry import metrics
from telemetry.books import BOOKS

LOG = logging.getLogger("cryptotools.recovery")

T = TypeVar("T")
_OWN = threading.local()
"""Of each worker's thread, as ``idle``: what its sinks have to do when nothing comes."""

Part: TypeAlias = StatefulSourcePartition[tuple[str, Item], State]


class ResumedSource(FixedPartitionedSource[tuple[str, Item], State]):
    """A live source whose place in the stream outlives a change of its snapshot.

    What it hands out is noted in the process's `Pulse`.

    Args:
        source: The live source.
        name: Of the step, for metrics.

    """

    def __init__(
        self, source: FixedPartitionedSource[tuple[str, Item], State], name: str = "exchange"
    ) -> None:
        self._source = source
        self._name = name

    def list_parts(self) -> list[str]:
        """Return the source's own."""
        return self._source.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: State | None) -> "_SourcePart":
        """Return a partition that goes on at the next ids, whatever else the snapshot held."""
        with one_error():
            try:
                part = self._source.build_part(step_id, for_part, resume_state)
            except ValidationError as error:
                LOG.warning("%s keeps its next ids only: %s", for_part, brief(error))
                part = self._source.build_part(step_id, for_part, kept(resume_state))
        return _SourcePart(part, self._name)


class _SourcePart(StatefulSourcePartition[tuple[str, Item], State]):
    def __init__(self, part: Part, name: str) -> None:
        self._part = part
        self._name = name
        self.next_awake = part.next_awake  # type: ignore[method-assign]  # one call less per turn
        self.close = part.close  # type: ignore[method-assign]  # likewise

    def next_batch(self) -> list[tuple[str, Item]]:
        if PULSE.balance:  # here, what was handed out before has gone its way
            PULSE.balance, PULSE.books = False, BOOKS.unexplained()
        batch = list(self._part.next_batch())
        PULSE.turns += 1
        if batch:
            PULSE.see(batch)
        else:
            for idle in _idle():
                idle()
        return batch

    def snapshot(self) -> State:
        PULSE.snapshots += 1
        return _timed(self._name, self._part.snapshot)


class ResumedSink(FixedPartitionedSink[Any, State]):
    """A sink that begins as without a snapshot where it cannot read the one it has."""

    def __init__(self, sink: FixedPartitionedSink[Any, State], name: str) -> None:
        self._sink = sink
        self._name = name
        self.part_fn = sink.part_fn  # type: ignore[method-assign]  # one call less per item

    def list_parts(self) -> list[str]:
        """Return the sink's own."""
        return self._sink.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: State | None) -> "_SinkPart":
        """Return a partition."""
        build = resumed(for_part, lambda state: self._sink.build_part(step_id, for_part, state))
        return _SinkPart(build(resume_state), self._name)


class _SinkPart(StatefulSinkPartition[Any, State]):
    def __init__(self, part: StatefulSinkPartition[Any, State], name: str) -> None:
        self._part = part
        self._name = name
        self._idle: Callable[[], None] | None = getattr(part, "idle", None)
        if self._idle is not None:
            _idle().append(self._idle)

    def write_batch(self, values: list[Any]) -> None:
        self._part.write_batch(values)
        PULSE.turns += 1

    def snapshot(self) -> State:
        PULSE.turns += 1
        return _timed(self._name, self._part.snapshot)

    def close(self) -> None:
        if self._idle is not None and self._idle in _idle():
            _idle().remove(self._idle)
        self._part.close()


def resuming(outputs: Outputs) -> Outputs:
    """Return the same sinks, each of them a `ResumedSink`."""
    return Outputs(
        {name: _wrapped(sink, name) for name, sink in outputs.records.items()},
        None if outputs.recording is None else _wrapped(outputs.recording, "recording"),
        None if outputs.parity is None else _wrapped(outputs.parity, "parity"),
    )


def _wrapped(sink: Sink[Any], name: str) -> Sink[Any]:
    return ResumedSink(sink, name) if isinstance(sink, FixedPartitionedSink) else sink


def _idle() -> list[Callable[[], None]]:
    if not hasattr(_OWN, "idle"):
        _OWN.idle = []
    found: list[Callable[[], None]] = _OWN.idle
    return found


def _timed(step: str, work: Callable[[], T]) -> T:
    began = perf_counter()
    found = work()
    metrics.SNAPSHOTS.labels(step).observe(perf_counter() - began)
    metrics.SNAPSHOT_AT.labels(step).set_to_current_time()
    return found
