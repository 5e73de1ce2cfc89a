"""How long rows are on their way: where they pass, somebody looks at a clock, and nobody decides.

    exchange ─► received ─► handed to the flow ─► klines ─► strategies
                    │                                └────► Redis has acknowledged
                    └─────────────────────────────────────► lasts in the lake

A batch of trades is known by its key and its last id. A live source notes it as it hands it out;
whoever is behind asks when that was. Replays note nothing, so that nothing is measured there, and
what another process of a cluster handed out is not known here.
"""

from collections import deque
from time import monotonic_ns
from typing import NamedTuple

from telemetry.metrics import LATENCY
from telemetry.traces import Traces

STAGES = ("exchange", "source", "klines", "strategies", "redis", "lake")
_MOST = 8192


class Stamp(NamedTuple):
    """When a batch was received and handed to the flow, monotonic nanoseconds; rows in it."""

    received_ns: int
    handed_ns: int
    rows: int


class Passage:
    """The newest batches that were handed out; older ones are forgotten."""

    def __init__(self) -> None:
        self._stamps: dict[tuple[str, int], Stamp] = {}
        self._order: deque[tuple[str, int]] = deque()
        self._built: dict[str, Stamp] = {}
        self._spreads = {stage: LATENCY.labels(stage) for stage in STAGES}
        self.traces: Traces | None = None

    def __bool__(self) -> bool:
        return bool(self._stamps)

    def enter(self, key: str, last_id: int, stamp: Stamp) -> None:
        """Note a batch."""
        self._stamps[key, last_id] = stamp
        self._order.append((key, last_id))
        if len(self._order) > _MOST:
            self._stamps.pop(self._order.popleft(), None)
        if self.traces is not None:
            self.traces.batch(key, last_id, stamp.rows, stamp.received_ns, stamp.handed_ns)

    def of(self, key: str, last_id: int) -> Stamp | None:
        """Return when a batch was on its way; None where that is not known."""
        return self._stamps.get((key, last_id))

    def came(self, exchange_s: float | None, stamp: Stamp, messages: int) -> None:
        """Note so many messages, the oldest of which was received and handed out then."""
        if exchange_s is not None:
            self._spreads["exchange"].observe(exchange_s, messages)
        self._spreads["source"].observe((stamp.handed_ns - stamp.received_ns) / 1e9, messages)

    def built(self, key: str, last_id: int | None) -> None:
        """Note that the klines of a batch are built; None: of something that is no batch."""
        stamp = None if last_id is None else self.of(key, last_id)
        if stamp is None:
            self._built.pop(key, None)
            return
        self._built[key] = stamp
        self._passed("klines", stamp, stamp.rows)

    def decided(self, key: str) -> None:
        """Note that the strategies have seen what was built last."""
        stamp = self._built.pop(key, None)
        if stamp is not None:
            self._passed("strategies", stamp, 1)

    def arrived(self, stage: str, received_ns: int, rows: int, at_ns: int | None = None) -> None:
        """Note that rows have reached ``redis`` or the ``lake``, now or at a time."""
        now = monotonic_ns() if at_ns is None else at_ns
        self._spreads[stage].observe((now - received_ns) / 1e9, rows)
        if self.traces is not None:
            self.traces.stage(stage, received_ns, received_ns, now)

    def clear(self) -> None:
        """Forget all batches."""
        self._stamps.clear()
        self._order.clear()
        self._built.clear()
        self.traces = None

    def _passed(self, stage: str, stamp: Stamp, weight: int) -> None:
        now = monotonic_ns()
        self._spreads[stage].observe((now - stamp.handed_ns) / 1e9, weight)
        if self.traces is not None:
            self.traces.stage(stage, stamp.received_ns, stamp.handed_ns, now)


PASSAGE = Passage()
"""The process's own."""
