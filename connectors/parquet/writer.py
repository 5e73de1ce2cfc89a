"""Writes records to the lake: which file a row goes into depends on the rows alone.

A file ends with its span of data time, at `rotate_rows`, or where a decimal scale grows; never
because a batch ended or time passed. Rows since the last file are pending: they are in the
snapshot, and a run that goes on from there writes the files an undisturbed run would write.
"""

import contextlib
from typing import TypeAlias, TypedDict

from connectors.durable import publish
from connectors.parquet.config import LakeConfig
from connectors.parquet.encoding import encode
from connectors.parquet.layout import Kind, Slot, folder
from connectors.parquet.overlap import settle
from connectors.parquet.pending import (
    RecordRows,
    Scales,
    TradeRows,
    packed,
    span_of,
    too_wide,
    unpacked,
)
from core.market.errors import SnapshotError
from core.market.events import Event, Quarantined
from core.market.kline import Kline, Status
from core.market.signal import Signal
from core.market.trades import Trades
from telemetry import metrics

Record: TypeAlias = Trades | Kline | Signal | Event
"""What the lake stores; each has one schema."""

VERSION = 1
"""Of the snapshot."""


class Snapshot(TypedDict):
    """Pending rows as plain values.

    Attributes:
        version: `VERSION`.
        scales: By key, the finest decimal places of price and quantity so far.
        open: Per open file its kind, key, interval, scales and rows (an Arrow IPC stream).

    """

    version: int
    scales: dict[str, Scales]
    open: list[tuple[str, str, str, Scales, bytes]]


class LakeWriter:
    """One writer of a lake; each key belongs to one writer at a time."""

    def __init__(self, config: LakeConfig) -> None:
        self._config = config
        self._trades: dict[Slot, TradeRows] = {}
        self._records: dict[Slot, RecordRows] = {}
        # By key: a file begins at the finest scale seen, so that scales stop changing.
        self._scales: dict[str, Scales] = {}

    @property
    def pending_rows(self) -> int:
        """Rows that are in no file yet."""
        return sum(rows.rows for rows in self._pending())

    def write(self, record: object) -> None:
        """Take a record; what the lake does not store (ticks, frames, forming klines) is ignored.

        Raises:
            ServiceError: A file was full and could not be written. Nothing is lost: its rows are
                still pending.
            FileError: A file that is there, and whose rows overlap, cannot be read.

        """
        match record:
            case Trades():
                self._write_trades(record)
            case Kline(status=Status.FINAL):
                slot = Slot(Kind.KLINES, record.key, record.interval.name)
                self._write_record(slot, record, record.open_us)
            case Signal():
                self._write_record(Slot(Kind.SIGNALS, record.key), record, record.close_us)
            case Quarantined():
                self._write_record(Slot(Kind.QUARANTINE, record.key), record, record.time_us)
            case Event():
                self._write_record(Slot(Kind.EVENTS, record.key), record, record.time_us)

    def flush_all(self) -> None:
        """Close every open file; the next row of each begins a new one."""
        for rows in self._pending():
            self._close(rows)

    def snapshot(self) -> Snapshot:
        """Return the pending rows."""
        return Snapshot(
            version=VERSION,
            scales=dict(self._scales),
            open=[
                (r.slot.kind.value, r.slot.key, r.slot.interval, r.scales, packed(r.batch()))
                for r in self._pending()
            ],
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot: take the rows that followed it next.

        Raises:
            SnapshotError: It is of another version.

        """
        if snapshot["version"] != VERSION:
            raise SnapshotError("the lake's pending rows", snapshot["version"], VERSION)
        self._scales = dict(snapshot["scales"])
        for kind, key, interval, scales, data in snapshot["open"]:
            self._load(Slot(Kind(kind), key, interval), scales, data)

    def _pending(self) -> list[TradeRows | RecordRows]:
        return [*self._trades.values(), *self._records.values()]

    def _load(self, slot: Slot, scales: Scales, data: bytes) -> None:
        batch = unpacked(data)
        if slot.kind is Kind.TRADES:
            span = span_of(batch.column("time")[0].as_py(), self._config.rotate_seconds)
            aggregate = "first_id" in batch.schema.names
            self._trades[slot] = TradeRows(slot, span, scales, aggregate=aggregate)
            self._trades[slot].load(batch)
        else:
            name = "open_time" if slot.kind is Kind.KLINES else "time"
            span = span_of(batch.column(name)[0].value, self._config.records_rotate_seconds)
            self._records[slot] = RecordRows(slot, span)
            self._records[slot].load(batch)

    def _write_trades(self, trades: Trades) -> None:
        slot = Slot(Kind.TRADES, trades.key)
        while len(trades):
            open_file = self._trades.get(slot)
            rows = open_file.room(trades, self._config.rotate_rows) if open_file else 0
            if open_file is not None and not rows:
                self._close(open_file)
                open_file = None
            if open_file is None:
                open_file = self._trades[slot] = self._begin(slot, trades)
                rows = open_file.room(trades, self._config.rotate_rows)
            open_file.append(trades.take(slice(0, rows)))
            if open_file.rows >= self._config.rotate_rows:
                self._close(open_file)
            trades = trades.take(slice(rows, None))

    def _begin(self, slot: Slot, trades: Trades) -> TradeRows:
        own = (trades.price_scale, trades.quantity_scale)
        known = self._scales.get(slot.key, own)
        finest = (max(own[0], known[0]), max(own[1], known[1]))
        if too_wide(trades.take(slice(0, 1)), finest)[0]:
            finest = own
        self._scales[slot.key] = finest
        span = span_of(int(trades.time_us[0]), self._config.rotate_seconds)
        return TradeRows(slot, span, finest, aggregate=trades.is_aggregate)

    def _write_record(self, slot: Slot, record: object, time_us: int) -> None:
        rows = self._records.get(slot)
        if rows is not None and not rows.span[0] <= time_us < rows.span[1]:
            self._close(rows)
            rows = None
        if rows is None:
            span = span_of(time_us, self._config.records_rotate_seconds)
            rows = self._records[slot] = RecordRows(slot, span)
        rows.append(record)
        if rows.rows >= self._config.rotate_rows:
            self._close(rows)

    def _close(self, rows: TradeRows | RecordRows) -> None:
        place = folder(self._config.path, rows.slot, rows.span[0])
        change = settle(rows.table(), place, rows.slot.kind)
        if change.table is not None:
            data = encode(change.table, self._config.compression_level)
            publish(change.path, data, service="lake")
        for path in change.replaced:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        metrics.STORED.labels(rows.slot.kind.value).inc(rows.rows)
        self._trades.pop(rows.slot, None)
        self._records.pop(rows.slot, None)
