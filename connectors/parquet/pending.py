"""Rows that wait for their file to be full: the only state of the lake's writer."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from connectors.arrowlog.state import Name
from connectors.parquet.layout import Kind, Slot
from connectors.parquet.tables import SHAPES, Batch, Columns, Table, trades_table
from core.market.decimals import MAX_DIGITS
from core.market.trades import Bools, Ints, Trades

Scales: TypeAlias = tuple[int, int]
"""Decimal places of price and quantity."""
Span: TypeAlias = tuple[int, int]
"""Data time of one file, ``start <= t < end``, microseconds."""

Seconds: TypeAlias = tuple[int, int]
"""Data time of a file of trades, and of one of anything else."""

_FIRST_ROWS = 256
_DTYPES = {"buyer_is_maker": np.bool_, "repaired": np.bool_}


def span_of(time_us: int, seconds: int) -> Span:
    """Return the span of `seconds` since the epoch in which a time falls."""
    length = seconds * 1_000_000
    start = time_us - time_us % length
    return start, start + length


class TradeRows:
    """Trades of one open file, in columns that grow."""

    def __init__(self, slot: Slot, span: Span, scales: Scales, *, aggregate: bool) -> None:
        self.slot, self.span, self.scales, self.aggregate = slot, span, scales, aggregate
        self.name: Name = (slot.kind.value, slot.key, slot.interval, *scales)
        self.rows = 0
        self.logged = 0
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

    @property
    def fresh(self) -> int:
        """Rows that are not in the log yet."""
        return self.rows - self.logged

    def table(self) -> Table:
        """Return the rows as the lake stores them."""
        return trades_table(self.columns(0, self.rows), *self.scales)

    def columns(self, start: int, end: int) -> Columns:
        """Return the columns of some rows."""
        return {name: column[start:end] for name, column in self._columns.items()}

    def load(self, batches: Sequence[Batch]) -> None:
        """Take back what the log held."""
        self.rows = self.logged = sum(batch.num_rows for batch in batches)
        for name in self._columns:
            columns = [batch.column(name).to_numpy(zero_copy_only=False) for batch in batches]
            self._columns[name] = np.concatenate(columns)

    def _grow(self) -> None:
        size = max(_FIRST_ROWS, self.rows, 2 * len(self._columns["id"]))
        for name, column in self._columns.items():
            self._columns[name] = np.empty(size, column.dtype)
            self._columns[name][: len(column)] = column


class RecordRows:
    """Klines, signals or events of one open file: the newest as they came, the others as rows."""

    def __init__(self, slot: Slot, span: Span) -> None:
        self.slot, self.span = slot, span
        self.name: Name = (slot.kind.value, slot.key, slot.interval, 0, 0)
        self.rows = 0
        self.fresh: list[object] = []
        self._shape = SHAPES[slot.kind]
        # Which rows of which batch: a slice would hold two kilobytes for each, whatever its length.
        self._runs: list[tuple[Batch, int, int]] = []

    @property
    def logged(self) -> int:
        """Rows that the log has."""
        return self.rows - len(self.fresh)

    def append(self, record: object) -> None:
        """Take a record of this kind."""
        self.fresh.append(record)
        self.rows += 1

    def keep(self, batch: Batch, start: int, rows: int) -> None:
        """Take rows of a batch in place of the newest records, which became them."""
        self._runs.append((batch, start, rows))
        self.fresh.clear()

    def table(self) -> Table:
        """Return the rows as the lake stores them."""
        newest = [self._shape.batch(self.fresh)] if self.fresh else []
        return pa.Table.from_batches(self._kept() + newest, self._shape.schema)

    def batch(self) -> Batch:
        """Return the rows that the log has, as one batch."""
        (batch,) = (
            pa.Table.from_batches(self._kept(), self._shape.schema).combine_chunks().to_batches()
        )
        return batch

    def load(self, batches: Sequence[Batch]) -> None:
        """Take back what the log held."""
        self.rows = sum(batch.num_rows for batch in batches)
        self._runs, self.fresh = [(batch, 0, batch.num_rows) for batch in batches], []

    def _kept(self) -> list[Batch]:
        return [batch.slice(start, rows) for batch, start, rows in self._runs]


def loaded(name: Name, batches: Sequence[Batch], seconds: Seconds) -> TradeRows | RecordRows:
    """Return an open file as the log held it; `seconds` are the spans of trades and of records."""
    slot = Slot(Kind(str(name[0])), str(name[1]), str(name[2]))
    rows: TradeRows | RecordRows
    if slot.kind is Kind.TRADES:
        scales = int(name[3]), int(name[4])
        span = span_of(batches[0].column("time")[0].as_py(), seconds[0])
        rows = TradeRows(slot, span, scales, aggregate="first_id" in batches[0].schema.names)
    else:
        column = "open_time" if slot.kind is Kind.KLINES else "time"
        rows = RecordRows(slot, span_of(batches[0].column(column)[0].value, seconds[1]))
    rows.load(batches)
    return rows


def too_wide(trades: Trades, scales: Scales) -> Bools:
    """Return which rows need more than 18 digits at these finer scales."""
    price_limit = 10 ** (MAX_DIGITS - scales[0] + trades.price_scale)
    quantity_limit = 10 ** (MAX_DIGITS - scales[1] + trades.quantity_scale)
    wide: Bools = (trades.price >= price_limit) | (trades.quantity >= quantity_limit)
    return wide
