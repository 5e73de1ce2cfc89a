"""Bytewax shell over archive files: one partition per instrument, its files in order."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.archive.facts import FileFacts
from connectors.archive.names import ArchiveFile, Kind
from connectors.archive.opening import check_sum
from connectors.archive.walk import Out, Place, Step, in_order, items_of, steps
from connectors.shutdown import STOP
from core.market.errors import FileError
from core.market.events import Tick
from core.market.kline import Kline
from core.market.trades import Trades
from telemetry import metrics
from telemetry.progress import PROGRESS

__all__ = ["ArchivePartition", "ArchiveSource", "items_of"]

Clock: TypeAlias = Callable[[], datetime]
Snapshot: TypeAlias = tuple[int, int, int, int, int]
"""A `Place` as plain values."""

_BATCH_ITEMS = 64
_STEP = timedelta(milliseconds=5)
"""Paced rows are handed out at most this often."""
_LOOK = timedelta(seconds=1)
"""The stop flag is to be seen in time."""


def _now() -> datetime:
    return datetime.now(UTC)


class ArchivePartition(StatefulSourcePartition[tuple[str, Out], Snapshot]):
    """Reads one instrument's files; its snapshot is the place behind what it handed out."""

    def __init__(
        self,
        files: Sequence[ArchiveFile],
        since: Place,
        facts: list[FileFacts],
        *,
        speed: float | None = None,
        clock: Clock = _now,
    ) -> None:
        for file in files[since.file :]:
            PROGRESS.expect(file.path.stat().st_size)
        self._steps = steps(files, since, facts)
        self._counts = files[0].kind is not Kind.KLINES  # the books are of trades
        self._place = since
        self._refused = (since.file, 0)
        self._held: Step | None = None
        self._speed = speed
        self._clock = clock
        self._began: tuple[datetime, int] | None = None
        self._awake: datetime | None = None
        self._skip(since)

    def next_batch(self) -> list[tuple[str, Out]]:
        """Return the next items that are due; after a batch of trades no more."""
        if STOP.is_set():
            raise StopIteration
        self._awake = None
        out: list[tuple[str, Out]] = []
        while len(out) < _BATCH_ITEMS:
            step = self._held or next(self._steps, None)
            self._held = None
            if step is None:
                if not out:
                    raise StopIteration
                break
            item = self._due_part(step)
            if item is not None:
                self._count(item, step)
                out.append((item.key, item))
            if item is None or self._held is not None or isinstance(item, Trades):
                break  # it waits for its time, or a batch is work enough for one turn
        return out

    def next_awake(self) -> datetime | None:
        """Say when the next item is due, when replaying at a speed."""
        return self._awake

    def snapshot(self) -> Snapshot:
        """Return the place from which to go on."""
        return (*self._place,)

    def _skip(self, since: Place) -> None:
        while since.item or since.row:
            step = next(self._steps, None)
            if step is None:
                return
            if step.place.item > since.item or step.place.file > since.file:
                self._held = step
                break
            self._refused = step.place.file, step.refused
        if since.row and self._held is not None and isinstance(self._held.item, Trades):
            rest = self._held.item.take(slice(since.row, None))
            self._held = self._held._replace(item=rest)

    def _due_part(self, step: Step) -> Out | None:
        # The part of an item that is due, None if it has none; what is not is held.
        item = step.item
        due = self._due(item)
        if isinstance(item, Trades) and 0 < due < len(item):
            self._held = step._replace(item=item.take(slice(due, None)))
            # `row` counts from the start of the batch as it stands in the file.
            row = self._place.row if self._is_within(step) else 0
            self._place = step.place._replace(item=step.place.item - 1, row=row + due)
            return item.take(slice(0, due))
        if not due:
            self._held = step
            return None
        self._place = step.place
        return item

    def _is_within(self, step: Step) -> bool:
        here = self._place
        return here.file == step.place.file and here.item == step.place.item - 1

    def _due(self, item: Out) -> int:
        # How many rows of a batch are due, or whether another item is.
        whole = len(item) if isinstance(item, Trades) else 1
        if self._speed is None or not isinstance(item, Trades | Kline | Tick):
            return whole
        now, time_us = self._clock(), _time_of(item)
        if self._began is None:
            self._began = now, time_us
        began, first_us = self._began
        reached = first_us + (now - began) / timedelta(microseconds=1) * self._speed
        if isinstance(item, Trades):
            whole = int(np.searchsorted(item.time_us, reached, "right"))
            left = whole < len(item)
            time_us = int(item.time_us[whole]) if left else time_us
        else:
            left = time_us > reached
            whole = int(not left)
        if left:
            due = began + timedelta(microseconds=(time_us - first_us) / self._speed)
            self._awake = min(max(due, now + _STEP), now + _LOOK)
        return whole

    def _count(self, item: Out, step: Step) -> None:
        rows = len(item) if isinstance(item, Trades) else int(isinstance(item, Kline))
        PROGRESS.advance(0, rows)
        if not self._counts:
            return
        file, before = self._refused
        refused = step.refused - (before if file == step.place.file else 0)
        self._refused = step.place.file, step.refused
        # A line that cannot be a row counts as one that was received.
        if rows or refused:
            metrics.RECEIVED.labels(item.key).inc(rows + refused)
        if refused:
            metrics.REJECTED.labels(item.key).inc(refused)


class ArchiveSource(FixedPartitionedSource[tuple[str, Out], Snapshot]):
    """Trades, aggregates or klines of files, one partition per instrument.

    Args:
        files: As `detect` tells them, in any order.
        speed: 1.0 is the pace of the data, None as fast as can be.

    Attributes:
        facts: What was found out about each file that this process reads, in order of reading.

    Raises:
        FileError: A wrong checksum, or an instrument with rows of several kinds or intervals.

    """

    def __init__(self, files: Sequence[ArchiveFile], *, speed: float | None = None) -> None:
        self.facts: list[FileFacts] = []
        self._files: dict[str, list[ArchiveFile]] = {}
        self._speed = speed
        for file in in_order(files):
            check_sum(file.path)
            known = self._files.setdefault(file.key, [])
            if known:
                _check_alike(known[0], file)
            known.append(file)

    def list_parts(self) -> list[str]:
        """Return the instruments' keys."""
        return sorted(self._files)

    def build_part(
        self, _step_id: str, for_part: str, resume_state: Snapshot | None
    ) -> ArchivePartition:
        """Return one instrument's partition, going on where its snapshot stood."""
        since = Place(*resume_state) if resume_state else Place()
        files = self._files[for_part]
        return ArchivePartition(files, since, self.facts, speed=self._speed)


def _check_alike(known: ArchiveFile, file: ArchiveFile) -> None:
    if known.kind is not file.kind:
        why = f"`{file.key}` comes as {known.kind} too; replay one kind at a time"
        raise FileError(file.path, why)
    if known.interval != file.interval:
        why = f"`{file.key}` comes in {known.interval} too; replay one interval at a time"
        raise FileError(file.path, why)


def _time_of(item: Trades | Kline | Tick) -> int:
    if isinstance(item, Trades):
        return int(item.time_us[0])
    return item.close_us if isinstance(item, Kline) else item.time_us
