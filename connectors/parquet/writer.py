"""Writes records to the lake: which file a row goes into depends on the rows alone.

A file ends with its span of data time, at `rotate_rows`, or where a decimal scale grows; never
because a batch ended or time passed. Rows since the last file are pending. They are appended to a
log (`connectors.arrowlog.journal` has its rule) a few thousand at a time, the rest when a snapshot
is taken, which is then no more than a place in that log. A run that goes on from there writes the
files an undisturbed run would write; a file made since is cut back to the rows of the snapshot. A
run that begins afresh makes files of what a dead one left, and rows that it then brings again are
known by their id (`connectors.parquet.overlap`).
"""

import contextlib
from time import perf_counter
from typing import TypeAlias, TypedDict

from connectors.arrowlog.files import cut_back
from connectors.arrowlog.frames import Batch
from connectors.arrowlog.journal import Journal, Mark
from connectors.arrowlog.state import Closing, Name
from connectors.durable import publish
from connectors.parquet.config import LakeConfig
from connectors.parquet.encoding import encode
from connectors.parquet.lasting import Lasting
from connectors.parquet.layout import Kind, Slot, folder
from connectors.parquet.logged import bring_forward, log_all_trades, log_records, log_trades
from connectors.parquet.overlap import Change, settle
from connectors.parquet.pending import (
    RecordRows,
    Scales,
    TradeRows,
    loaded,
    span_of,
    too_wide,
)
from core.market.errors import SnapshotError
from core.market.events import Event, Quarantined
from core.market.kline import Kline, Status
from core.market.ml import FeatureRow, Learned, ModelScore, Prediction
from core.market.paper import Equity, Fill
from core.market.signal import Signal
from core.market.trades import Trades
from telemetry import metrics

Record: TypeAlias = Trades | Kline | Signal | Fill | Equity | Event | Learned
"""What the lake stores; each has one schema."""

VERSION = 2
"""Of the snapshot. Version 1 held the rows themselves."""

_LOG_TRADES = 4096
_LOG_RECORDS = 256
_BULK_TRADES = 16_384
"""Batches this large are a replay's: their rows mostly reach a file before the next snapshot."""


class Snapshot(TypedDict):
    """Where to go on, as plain values.

    Attributes:
        version: `VERSION`.
        scales: By key, the finest decimal places of price and quantity so far.
        log: The place in the log up to which rows are pending.

    """

    version: int
    scales: dict[str, Scales]
    log: Mark


class LakeWriter:
    """One writer of a lake; each key belongs to one writer at a time.

    Args:
        config: Where the lake is and when a file is full.
        journal: The log of pending rows; without one they are in memory only, and there are no
            snapshots: for a job that writes, flushes and ends.

    """

    def __init__(self, config: LakeConfig, journal: Journal | None = None) -> None:
        self._config = config
        self._journal = journal
        self._trades: dict[Slot, TradeRows] = {}
        self._records: dict[Slot, RecordRows] = {}
        # By key: a file begins at the finest scale seen, so that scales stop changing.
        self._scales: dict[str, Scales] = {}
        self._unlogged = 0
        self._fresh: dict[Kind, int] = {}
        self._lasting = Lasting()

    @property
    def pending_rows(self) -> int:
        """Rows that are in no file yet."""
        return sum(rows.rows for rows in self._pending())

    @property
    def pending_trades(self) -> int:
        """Of these, trades."""
        return sum(rows.rows for rows in list(self._trades.values()))

    def write(self, record: object) -> None:
        """Take a record; what the lake does not store (ticks, frames, forming klines) is ignored.

        Raises:
            ServiceError: A file was full, or the log, and could not be written. Nothing is lost:
                its rows are still pending.
            FileError: A file that is there, and whose rows overlap, cannot be read.

        """
        match record:
            case Trades():
                self._write_trades(record)
                self._log_trades(len(record))
                self._lasting.note(record)
            case Kline(status=Status.FINAL):
                slot = Slot(Kind.KLINES, record.key, record.interval.name)
                self._write_record(slot, record, record.open_us)
            case Signal():
                self._write_record(Slot(Kind.SIGNALS, record.key), record, record.close_us)
            case Fill() | Equity():
                kind = Kind.FILLS if isinstance(record, Fill) else Kind.EQUITY
                self._write_record(Slot(kind, record.key), record, record.time_us)
            case Quarantined():
                self._write_record(Slot(Kind.QUARANTINE, record.key), record, record.time_us)
            case Event():
                self._write_record(Slot(Kind.EVENTS, record.key), record, record.time_us)
            case FeatureRow() | Prediction() | ModelScore():
                self._write_learned(record)

    def flush_all(self) -> None:
        """Close every open file; the next row of each begins a new one."""
        for rows in self._pending():
            self._close(rows)

    def snapshot(self) -> Snapshot:
        """Make the pending rows last; return their place.

        Raises:
            ServiceError: The log cannot be written.
            ValueError: There is no log.

        """
        if self._journal is None:
            raise ValueError("a writer without a log has no snapshots")
        log_all_trades(self._journal, list(self._trades.values()))
        for kind, fresh in self._fresh.items():
            if fresh:
                self._log_records(kind)
        bring_forward(self._journal, self._pending())
        mark = self._journal.mark()
        self._lasting.lasts()
        return Snapshot(version=VERSION, scales=dict(self._scales), log=mark)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot: take the rows that followed it next.

        Raises:
            SnapshotError: It is of another version.
            ServiceError: The log is gone.

        """
        version = snapshot.get("version")
        if version != VERSION:
            raise SnapshotError("the lake's writer", f"version {version}", f"version {VERSION}")
        self._scales = dict(snapshot["scales"])
        if self._journal is not None:
            self._load(self._journal.resume(snapshot["log"], self._cut_back))

    def begin(self, run: str) -> None:
        """Begin without a snapshot: what a dead run left becomes files, unless it is `run` itself.

        Raises:
            ServiceError: A file or the log cannot be written.
            FileError: A file that is there, and whose rows overlap, cannot be read.

        """
        if self._journal is None:
            return
        if self._journal.run == run:
            self._journal.rewind(self._cut_back)
            return
        self._load(self._journal.left())
        self.flush_all()
        self._journal.begin(run)

    def _pending(self) -> list[TradeRows | RecordRows]:
        return [*self._trades.values(), *self._records.values()]

    def _load(self, held: dict[Name, list[Batch]]) -> None:
        for name, batches in held.items():
            rows = self._loaded(name, batches)
            metrics.RESTORED.labels(rows.slot.kind.value).inc(rows.rows)
            if isinstance(rows, TradeRows):
                self._trades[rows.slot] = rows
            else:
                self._records[rows.slot] = rows

    def _loaded(self, name: Name, batches: list[Batch]) -> TradeRows | RecordRows:
        seconds = self._config.rotate_seconds, self._config.records_rotate_seconds
        return loaded(name, batches, seconds)

    def _log_trades(self, rows: int) -> None:
        self._unlogged += rows
        if self._journal is None or rows >= _BULK_TRADES or self._unlogged < _LOG_TRADES:
            return
        log_trades(self._journal, self._trades.values(), 4 * _LOG_TRADES)
        self._unlogged = 0

    def _log_records(self, kind: Kind) -> None:
        log_records(self._journal, (r for slot, r in self._records.items() if slot.kind is kind))
        self._fresh[kind] = 0

    def _write_learned(self, record: Learned) -> None:
        if isinstance(record, FeatureRow):
            slot = Slot(Kind.FEATURES, record.key, record.interval.name)
        else:
            kind = Kind.PREDICTIONS if isinstance(record, Prediction) else Kind.SCORES
            slot = Slot(kind, record.key)
        self._write_record(slot, record, record.close_us)

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
            open_file.append(trades if rows == len(trades) else trades.take(slice(0, rows)))
            if open_file.rows >= self._config.rotate_rows:
                self._close(open_file)
            if rows == len(trades):  # nearly always: cutting a batch costs more than storing it
                break
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
        fresh = self._fresh[slot.kind] = self._fresh.get(slot.kind, 0) + 1
        if fresh >= _LOG_RECORDS:
            self._log_records(slot.kind)

    def _close(self, rows: TradeRows | RecordRows) -> None:
        began = perf_counter()
        place = folder(self._config.path, rows.slot, rows.span[0])
        change = settle(rows.table(), place, rows.slot.kind)
        self._note(rows, change)
        if change.table is not None:
            data = encode(change.table, self._config.compression_level)
            publish(change.path, data, service="lake")
        for path in change.replaced:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        if self._journal is not None:
            self._journal.closed(rows.name)
        metrics.LAKE_CLOSES.labels(rows.slot.kind.value).observe(perf_counter() - began)
        metrics.STORED.labels(rows.slot.kind.value).inc(rows.rows)
        self._trades.pop(rows.slot, None)
        self._records.pop(rows.slot, None)

    def _note(self, rows: TradeRows | RecordRows, change: Change) -> None:
        if self._journal is None or change.table is None:
            return
        path = str(change.path.relative_to(self._config.path))
        # A file that took rows of others in is not to be cut back: they are nowhere else.
        own = self._journal.made(rows.name) == path and change.touched == (change.path,)
        undo = not change.touched or own
        self._journal.closing(Closing(rows.name, path, change.table.num_rows, undo))

    def _cut_back(self, closing: Closing, batches: list[Batch]) -> None:
        rows = self._loaded(closing.name, batches) if batches else None
        cut_back(
            self._config.path,
            closing,
            rows.rows if rows else 0,
            lambda: encode(rows.table() if rows else None, self._config.compression_level),
            service="lake",
        )
