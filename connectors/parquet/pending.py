"""Rows that wait for their file to be full: the only state of the lake's writer."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from connectors.parquet.layout import Slot
from connectors.parquet.tables import SHAPES, Batch, Columns, Table, trades_table
from core.market.decimals import MAX_DIGITS
from core.market.trades import Bools, Ints, Trades

Scales: TypeAlias = tuple[int, int]
"""Decimal places of price and quantity."""
Span: TypeAlias = tuple[int, int]
"""Data time of one file, ``start <= t < end``, microseconds."""

_FIRST_ROWS = 256
_DTYPES = {"buyer_is_maker": np.bool_, "repaired": np.bool_}


def span_of(time_us: int, seconds: int) -> Span:
    """Return the span of `seconds` since the epoch in which a time falls."""
    length = seconds * 1_000_000
    start = time_us - time_us % length
    return start, start + length


def packed(batch: Batch) -> bytes:
    """Return a batch as an Arrow IPC stream, compressed."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def unpacked(data: bytes) -> Batch:
    """Return what `packed` was given."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_next_batch()


class TradeRows:
    """Trades of one open file, in columns that grow."""

    def __init__(self, slot: Slot, span: Span, scales: Scales, *, aggregate: bool) -> None:
        self.slot, self.span, self.scales, self.aggregate = slot, span, scales, aggregate
        self.rows = 0
        names = ["id", "time", "price", "quantity", "buyer_is_maker", "repaired"]
        names += ["first_id", "last_id"] if aggregate else []
        self._columns: Columns = {n: np.empty(0, _DTYPES.get(n, np.int64)) for n in names}

    def room(self, trades: Trades, limit: int) -> int:
        """Return how many of the first rows belong into this file of at most `limit` rows.

        It ends where its span of time ends, where a finer scale comes (files keep their scale),
        where a row would not fit in 18 digits at its scale, and where aggregates follow trades.
        """
        finer = self.scales[0] < trades.price_scale or self.scales[1] < trades.quantity_scale
        if finer or trades.is_aggregate is not self.aggregate:
            return 0
        rows = max(0, min(limit - self.rows, len(trades)))
        start, end = self.span
        time_us = trades.time_us[:rows]
        outside = (time_us < start) | (time_us >= end)
        if self.scales != (trades.price_scale, trades.quantity_scale):
            outside |= too_wide(trades, self.scales)[:rows]
        return int(outside.argmax()) if outside.any() else rows

    def append(self, trades: Trades) -> None:
        """Take rows that belong here."""
        trades = trades.rescaled(*self.scales)
        start, self.rows = self.rows, self.rows + len(trades)
        if self.rows > len(self._columns["id"]):
            self._grow()
        values: dict[str, Ints | Bools | bool] = {
            "id": trades.id,
            "time": trades.time_us,
            "price": trades.price,
            "quantity": trades.quantity,
            "buyer_is_maker": trades.buyer_is_maker,
            "repaired": trades.repaired,
        }
        if self.aggregate:
            values |= {"first_id": trades.first_ids, "last_id": trades.last_ids}
        for name, column in values.items():
            self._columns[name][start : self.rows] = column

    def table(self) -> Table:
        """Return the rows as the lake stores them."""
        return trades_table(self._filled(), *self.scales)

    def batch(self) -> Batch:
        """Return the rows as plain columns."""
        return pa.record_batch({name: pa.array(c) for name, c in self._filled().items()})

    def load(self, batch: Batch) -> None:
        """Take back what `batch` gave."""
        self.rows = batch.num_rows
        for name in self._columns:
            column = batch.column(name).to_numpy(zero_copy_only=False)
            self._columns[name] = column.copy()

    def _filled(self) -> Columns:
        return {name: column[: self.rows] for name, column in self._columns.items()}

    def _grow(self) -> None:
        size = max(_FIRST_ROWS, self.rows, 2 * len(self._columns["id"]))
        for name, column in self._columns.items():
            self._columns[name] = np.empty(size, column.dtype)
            self._columns[name][: len(column)] = column


class RecordRows:
    """Klines, signals or events of one open file."""

    scales: Scales = (0, 0)

    def __init__(self, slot: Slot, span: Span) -> None:
        self.slot, self.span = slot, span
        self._shape = SHAPES[slot.kind]
        self._loaded: list[Batch] = []
        self._records: list[object] = []

    @property
    def rows(self) -> int:
        """Rows so far."""
        return int(sum(b.num_rows for b in self._loaded)) + len(self._records)

    def append(self, record: object) -> None:
        """Take a record of this kind."""
        self._records.append(record)

    def table(self) -> Table:
        """Return the rows as the lake stores them."""
        return pa.Table.from_batches(self._batches(), self._shape.schema)

    def batch(self) -> Batch:
        """Return the same as one batch."""
        (batch,) = self.table().combine_chunks().to_batches()
        return batch

    def load(self, batch: Batch) -> None:
        """Take back what `batch` gave."""
        self._loaded, self._records = [batch], []

    def _batches(self) -> Iterable[Batch]:
        fresh = [self._shape.batch(self._records)] if self._records else []
        return self._loaded + fresh


def too_wide(trades: Trades, scales: Scales) -> Bools:
    """Return which rows need more than 18 digits at these finer scales."""
    price_limit = 10 ** (MAX_DIGITS - scales[0] + trades.price_scale)
    quantity_limit = 10 ** (MAX_DIGITS - scales[1] + trades.quantity_scale)
    wide: Bools = (trades.price >= price_limit) | (trades.quantity >= quantity_limit)
    return wide
