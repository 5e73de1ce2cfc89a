"""Bytewax shell over archive files: one partition per instrument, its files in order."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.archive.klines import read_klines
from connectors.archive.names import ArchiveFile, Kind
from connectors.archive.opening import check_sum
from connectors.archive.trades import read_trades
from connectors.shutdown import STOP
from core.market.errors import FileError
from core.market.events import Event, Quarantined, Tick
from core.market.kline import Kline
from core.market.trades import Trades
from telemetry import metrics
from telemetry.progress import PROGRESS

Out: TypeAlias = Trades | Kline | Event | Tick

_GRACE_US = 1_000_000
_BATCH_ITEMS = 64
_LOOK = timedelta(seconds=1)


class ArchivePartition(StatefulSourcePartition[tuple[str, Out], int]):
    """Reads one instrument's files; its snapshot is the number of items handed out."""

    def __init__(self, files: Sequence[ArchiveFile], *, skip: int, speed: float | None) -> None:
        self._items = items_of(files)
        self._counts = files[0].kind is not Kind.KLINES  # the books are of trades
        self._handed = 0
        self._speed = speed
        self._began: tuple[datetime, int] | None = None
        self._held: Out | None = None
        self._awake: datetime | None = None
        while self._handed < skip and next(self._items, None) is not None:
            self._handed += 1

    def next_batch(self) -> list[tuple[str, Out]]:
        """Return the next items."""
        if STOP.is_set():
            raise StopIteration
        self._awake = None
        out: list[tuple[str, Out]] = []
        while len(out) < _BATCH_ITEMS:
            item = self._held if self._held is not None else next(self._items, None)
            self._held = None
            if item is None:
                if not out:
                    raise StopIteration
                break
            if self._early(item):
                self._held = item
                break
            out.append((item.key, item))
            self._handed += 1
            if self._counts:
                _count(item)
            if isinstance(item, Trades):
                break  # a batch is work enough for one turn
        return out

    def next_awake(self) -> datetime | None:
        """Say when the next item is due, when replaying at a speed."""
        return self._awake

    def snapshot(self) -> int:
        """Return the number of items handed out."""
        return self._handed

    def _early(self, item: Out) -> bool:
        if self._speed is None:
            return False
        time_us, now = time_of(item), datetime.now(UTC)
        if self._began is None:
            self._began = now, time_us
        began, first_us = self._began
        due = began + timedelta(microseconds=max(0, time_us - first_us) / self._speed)
        if due > now:
            self._awake = min(due, now + _LOOK)  # the stop flag is to be seen in time
        return due > now


class ArchiveSource(FixedPartitionedSource[tuple[str, Out], int]):
    """Trades, aggregates or klines of files, one partition per instrument.

    Args:
        files: As `detect` tells them, in any order.
        speed: 1.0 is the pace of the data, None as fast as can be.

    Raises:
        FileError: A wrong checksum, or an instrument with rows of several kinds.

    """

    def __init__(self, files: Sequence[ArchiveFile], *, speed: float | None = None) -> None:
        self._files: dict[str, list[ArchiveFile]] = {}
        for file in sorted(files, key=_order):
            check_sum(file.path)
            known = self._files.setdefault(file.key, [])
            if known and known[0].kind is not file.kind:
                why = f"`{file.key}` comes as {known[0].kind} too; replay one kind at a time"
                raise FileError(file.path, why)
            known.append(file)
            PROGRESS.expect(file.path.stat().st_size)
        self._speed = speed

    def list_parts(self) -> list[str]:
        """Return the instruments' keys."""
        return sorted(self._files)

    def build_part(
        self, _step_id: str, for_part: str, resume_state: int | None
    ) -> ArchivePartition:
        """Return one instrument's partition, going on where its snapshot stood."""
        return ArchivePartition(self._files[for_part], skip=resume_state or 0, speed=self._speed)


def items_of(files: Sequence[ArchiveFile]) -> Iterator[Out]:
    """Yield the items of an instrument's files, in order.

    An official file covers its period whole: ticks say so, so that its first window is known to
    be whole and its last one closes.
    """
    for file in files:
        if file.period and file.kind is not Kind.KLINES:
            yield Tick(file.key, file.period[0])
        rows = 0
        read = read_klines(file) if file.kind is Kind.KLINES else read_trades(file)
        for item in read:
            rows += len(item) if isinstance(item, Trades) else 1
            PROGRESS.advance(0, len(item) if isinstance(item, Trades) else 1)
            yield item
        PROGRESS.advance(_size(file.path), 0)
        if file.period and file.kind is not Kind.KLINES and rows:
            yield Tick(file.key, file.period[1] + _GRACE_US)


def time_of(item: Out) -> int:
    """Return the time in the data at which an item stands, microseconds."""
    if isinstance(item, Trades):
        return int(item.time_us[0]) if len(item) else 0
    if isinstance(item, Kline):
        return item.close_us
    return item.time_us


def _count(item: Out) -> None:
    if isinstance(item, Trades):
        metrics.RECEIVED.labels(item.key).inc(len(item))
    elif isinstance(item, Quarantined):
        # A line that cannot be a row counts as one that was received.
        metrics.RECEIVED.labels(item.key).inc()
        metrics.REJECTED.labels(item.key).inc()


def _order(file: ArchiveFile) -> tuple[str, int, str]:
    return file.key, file.period[0] if file.period else 0, file.path.name


def _size(path: Path) -> int:
    return path.stat().st_size
