"""The live flow's source and sinks, as they resume and as the heartbeat sees them."""

import logging
from typing import Any, TypeAlias

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, Sink, StatefulSinkPartition
from pydantic import ValidationError

from connectors.shutdown import one_error
from core.market.events import Item
from dataflows.outputs import Outputs
from dataflows.pulse import PULSE
from dataflows.resume import State, brief, kept, resumed

LOG = logging.getLogger("cryptotools.recovery")

Part: TypeAlias = StatefulSourcePartition[tuple[str, Item], State]


class ResumedSource(FixedPartitionedSource[tuple[str, Item], State]):
    """A live source whose place in the stream outlives a change of its snapshot.

    What it hands out is noted in the process's `Pulse`.
    """

    def __init__(self, source: FixedPartitionedSource[tuple[str, Item], State]) -> None:
        self._source = source

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
        return _SourcePart(part)


class _SourcePart(StatefulSourcePartition[tuple[str, Item], State]):
    def __init__(self, part: Part) -> None:
        self._part = part
        self.next_awake = part.next_awake  # type: ignore[method-assign]  # one call less per turn
        self.close = part.close  # type: ignore[method-assign]  # likewise

    def next_batch(self) -> list[tuple[str, Item]]:
        batch = list(self._part.next_batch())
        PULSE.turns += 1
        if batch:
            PULSE.see(batch)
        return batch

    def snapshot(self) -> State:
        PULSE.snapshots += 1
        return self._part.snapshot()


class ResumedSink(FixedPartitionedSink[Any, State]):
    """A sink that begins as without a snapshot where it cannot read the one it has."""

    def __init__(self, sink: FixedPartitionedSink[Any, State]) -> None:
        self._sink = sink
        self.part_fn = sink.part_fn  # type: ignore[method-assign]  # one call less per item

    def list_parts(self) -> list[str]:
        """Return the sink's own."""
        return self._sink.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: State | None) -> "_SinkPart":
        """Return a partition."""
        build = resumed(for_part, lambda state: self._sink.build_part(step_id, for_part, state))
        return _SinkPart(build(resume_state))


class _SinkPart(StatefulSinkPartition[Any, State]):
    def __init__(self, part: StatefulSinkPartition[Any, State]) -> None:
        self._part = part
        self.close = part.close  # type: ignore[method-assign]  # one call less

    def write_batch(self, values: list[Any]) -> None:
        self._part.write_batch(values)
        PULSE.turns += 1

    def snapshot(self) -> State:
        PULSE.turns += 1
        return self._part.snapshot()


def resuming(outputs: Outputs) -> Outputs:
    """Return the same sinks, each of them a `ResumedSink`."""
    return Outputs(
        {name: _wrapped(sink) for name, sink in outputs.records.items()},
        None if outputs.recording is None else _wrapped(outputs.recording),
        None if outputs.parity is None else _wrapped(outputs.parity),
    )


def _wrapped(sink: Sink[Any]) -> Sink[Any]:
    return ResumedSink(sink) if isinstance(sink, FixedPartitionedSink) else sink
