"""Reads the lake back: trades as batches in id order, klines one by one.

A path may be the lake, any folder of it, or one file; symbol and day are pruned by folder names.
Files are whole or not there, so a reader sees rows up to the last one that a writer filled. With
`pending` it sees the younger ones too, from the logs of a running flow or of one that died: all but
the few thousand, or those since the last snapshot, that are still in the writer's memory.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.parquet.encoding import BROKEN, unreadable
from connectors.parquet.layout import Kind, Part, Wanted, day_of, find
from connectors.parquet.open_rows import logged_parts
from connectors.parquet.tables import SHAPES, Batch, klines_of, trades_of
from core.market import schemas
from core.market.decimals import MAX_DIGITS
from core.market.errors import FileError
from core.market.kline import Kline
from core.market.trades import Trades

BATCH_ROWS = 1 << 16
Progress: TypeAlias = Callable[[int, int], None]
"""Told (bytes, rows) as files are read."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a key has been read: the day, and the id that comes next in it."""

    date: str = ""
    next_id: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Data time to read, ``start_us <= t < end_us``; None is no bound."""

    start_us: int | None = None
    end_us: int | None = None

    @classmethod
    def of(cls, start: datetime | None, end: datetime | None) -> "Range":
        """Return the range between two times, which must know their zone."""
        return cls(_micros(start), _micros(end))

    @property
    def days(self) -> tuple[str, str]:
        """First and last day, inclusive; empty for no bound."""
        first = "" if self.start_us is None else day_of(self.start_us)
        return first, "" if self.end_us is None else day_of(self.end_us - 1)

    def cut(self, trades: Trades) -> Trades:
        """Return the rows inside."""
        inside = np.ones(len(trades), np.bool_)
        if self.start_us is not None:
            inside &= trades.time_us >= self.start_us
        if self.end_us is not None:
            inside &= trades.time_us < self.end_us
        return trades if inside.all() else trades.take(inside)


def read_trades(
    path: Path,
    symbols: Collection[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    pending: bool = False,
) -> Iterator[tuple[str, Trades]]:
    """Yield (key, trades) of up to 65,536 rows, key by key, each key in id order.

    Args:
        path: The lake, any folder of it, or one file.
        symbols: Symbols (``BTCUSDT``) or keys (``binance:BTCUSDT``); None for all.
        start: First trade time, aware of its zone.
        end: End of trade time, exclusive.
        pending: Whether to read the rows that are in no file yet, too.

    Raises:
        FileError: A file that is no trades of a lake, or broken; or no such path.

    """
    span = Range.of(start, end)
    for key, parts in trade_parts(path, symbols, span, pending=pending).items():
        for _, trades in read_parts(parts, span):
            yield key, trades


def trade_parts(
    path: Path, symbols: Collection[str] | None, span: Range, *, pending: bool = False
) -> dict[str, list[Part]]:
    """Return the files of trades by key, in the order of their rows."""
    found: dict[str, list[Part]] = {}
    for part in _parts(path, Wanted(Kind.TRADES, symbols, *span.days), pending=pending):
        found.setdefault(part.slot.key, []).append(part)
    return found


def parts_since(parts: list[Part], since: Position) -> list[Part]:
    """Return those of one key's files, given in order, that may hold rows from `since` on."""
    left = [part for part in parts if part.date >= since.date]
    while len(left) > 1 and left[1].date == since.date and left[1].first <= since.next_id:
        del left[0]
    return left


def read_parts(
    parts: list[Part],
    span: Range | None = None,
    since: Position | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Part, Trades]]:
    """Yield one key's rows from `since` on with the file they are in, each id of a day once."""
    at = since or Position()
    for part in parts_since(parts, at):
        if part.date > at.date:
            at = Position(part.date)
        for batch in _batches(part, _check_trades, progress):
            for trades in trades_of(part.slot.key, batch):
                fresh = _after(trades, at.next_id, part.path)
                at = Position(part.date, max(at.next_id, int(trades.id[-1]) + 1))
                kept = fresh if span is None else span.cut(fresh)
                if len(kept):
                    yield part, kept


def read_klines(
    path: Path,
    symbols: Collection[str] | None = None,
    intervals: Collection[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    pending: bool = False,
) -> Iterator[Kline]:
    """Yield final klines whose window opens in ``start <= t < end``.

    Key by key, interval by interval, each in the order of emission: a kline that was issued again
    comes again, with its `revision`. Numbers are exact; their scales are the coarsest that hold
    them. Arguments and errors are those of `read_trades`.
    """
    span = Range.of(start, end)
    low, high = span.start_us or 0, span.end_us
    parts = _parts(path, Wanted(Kind.KLINES, symbols, *span.days, intervals), pending=pending)
    open_slots = {part.slot for part in parts if part.rows is not None}
    seen: set[Kline] = set()
    for part in parts:
        for batch in _batches(part, _check_klines):
            for kline in klines_of(part.slot.key, batch):
                if part.slot in open_slots:
                    if kline in seen:  # in a log, and since then in a file
                        continue
                    seen.add(kline)
                if kline.open_us >= low and (high is None or kline.open_us < high):
                    yield kline


def _parts(path: Path, wanted: Wanted, *, pending: bool) -> list[Part]:
    logged = logged_parts(path, wanted) if pending else []  # before the files: see there
    return sorted(find(path, wanted) + logged)


def _batches(
    part: Part, check: Callable[[Path, pa.Schema], None], progress: Progress | None = None
) -> Iterator[Batch]:
    if part.rows is not None:
        yield from part.rows.to_batches(BATCH_ROWS)
        return
    path = part.path
    try:
        size, done = path.stat().st_size, 0
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            check(path, file.schema_arrow)
            read, rows = 0, file.metadata.num_rows
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                _no_nulls(path, batch)
                yield batch
                read += batch.num_rows
                if progress is not None:
                    share = size * read // rows - done
                    progress(share, batch.num_rows)
                    done += share
            if read != rows:  # checksums cover what is in a page, not how many pages there are
                raise FileError(path, f"not a readable Parquet file ({read} of {rows} rows)")
        if progress is not None:
            progress(size - done, 0)
    except BROKEN as error:
        raise unreadable(path, error) from error


def _check_trades(path: Path, schema: pa.Schema) -> None:
    kinds = {name: schema.field(name).type for name in set(schema.names)}
    scales = [_scale(path, name, kinds.get(name)) for name in ("price", "quantity")]
    expected = schemas.trades(*scales, aggregate="first_id" in kinds)
    _check_fields(path, schema, expected)


def _check_klines(path: Path, schema: pa.Schema) -> None:
    _check_fields(path, schema, SHAPES[Kind.KLINES].schema)


def _check_fields(path: Path, schema: pa.Schema, expected: pa.Schema) -> None:
    for field in expected:
        found = schema.field(field.name).type if field.name in schema.names else "missing"
        if found != field.type:
            why = f"column `{field.name}` is {found}, expected {field.type}"
            raise FileError(path, f"not what the lake stores: {why}")


def _scale(path: Path, name: str, kind: pa.DataType | None) -> int:
    if kind is None or not pa.types.is_decimal128(kind) or kind.precision != MAX_DIGITS:
        raise FileError(path, f"column `{name}` is {kind or 'missing'}, expected decimal128(18)")
    return int(kind.scale)


def _no_nulls(path: Path, batch: Batch) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count:
            raise FileError(path, f"column `{name}` lacks values")


def _after(trades: Trades, next_id: int, path: Path) -> Trades:
    ids = trades.id
    if not (ids[1:] > ids[:-1]).all():
        raise FileError(path, "trade ids do not rise")
    return trades if ids[0] >= next_id else trades.take(ids >= next_id)


def _micros(at: datetime | None) -> int | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise ValueError(f"`{at}` has no zone: give a UTC time")
    return round(at.timestamp() * 1_000_000)
