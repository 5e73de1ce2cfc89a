"""Pending rows on their way into the log: those of many open files as one batch."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from connectors.arrowlog.journal import Journal
from connectors.parquet.pending import RecordRows, TradeRows
from connectors.parquet.tables import SHAPES

_FRAME_ROWS = 1 << 16


def log_trades(journal: Journal, files: Iterable[TradeRows], limit: int = _FRAME_ROWS) -> int:
    """Append up to `limit` rows that the log does not have; return how many."""
    runs: dict[bool, list[tuple[TradeRows, int]]] = {False: [], True: []}
    left = limit
    for rows in files:
        if left and rows.fresh:
            count = min(left, rows.fresh)
            runs[rows.aggregate].append((rows, count))
            left -= count
    for chosen in runs.values():
        if chosen:
            _append(journal, chosen)
    return limit - left


def log_all_trades(journal: Journal, files: Sequence[TradeRows]) -> None:
    """Append every row that the log does not have."""
    while log_trades(journal, files):
        pass


def log_records(journal: Journal | None, files: Iterable[RecordRows]) -> None:
    """Turn the newest records of open files of one kind into rows, and append these to the log.

    Rows take a fifth of the memory of records, and few of them at a time take little time.
    """
    fresh = [rows for rows in files if rows.fresh]
    if not fresh:
        return
    batch = SHAPES[fresh[0].slot.kind].batch([r for rows in fresh for r in rows.fresh])
    if journal is not None:
        journal.rows([(rows.name, len(rows.fresh)) for rows in fresh], batch)
    start = 0
    for rows in fresh:
        count = len(rows.fresh)
        rows.keep(batch, start, count)
        start += count


def bring_forward(journal: Journal, files: Iterable[TradeRows | RecordRows]) -> None:
    """Append again the rows of files that hold the log's old end, so that it can be dropped."""
    stale = set(journal.stale())
    for rows in files if stale else ():
        if rows.name in stale:
            batch = _columns(rows, 0, rows.logged) if isinstance(rows, TradeRows) else rows.batch()
            journal.rows([(rows.name, rows.logged)], batch, again=True)


def _append(journal: Journal, runs: Sequence[tuple[TradeRows, int]]) -> None:
    parts = [rows.columns(rows.logged, rows.logged + count) for rows, count in runs]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    batch = pa.record_batch({name: pa.array(column) for name, column in columns.items()})
    journal.rows([(rows.name, count) for rows, count in runs], batch)
    for rows, count in runs:
        rows.logged += count


def _columns(rows: TradeRows, start: int, end: int) -> pa.RecordBatch:
    columns = rows.columns(start, end)
    return pa.record_batch({name: pa.array(column) for name, column in columns.items()})
