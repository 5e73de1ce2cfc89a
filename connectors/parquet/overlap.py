"""A new file beside those already there: no row is ever stored twice, none is lost.

A run that starts again (after a crash, or over an old recording) writes rows that may be there:

=============================================  =================================================
the rows of the files whose ids it touches     what happens
=============================================  =================================================
are all among the new (equal, or a prefix)     the new file replaces them
hold all the new ones                          nothing is written
hold some, and the others lie beside them      only those others are written
interleave with the new ones                   one file with the rows of all replaces them
=============================================  =================================================

Files of one folder thus hold ranges of ids that do not overlap. A row is known by its id; records
other than trades by all of their fields.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.parquet.encoding import BROKEN, Table, decode, unreadable
from connectors.parquet.layout import Kind, first_of, part_name
from connectors.parquet.tables import id_name
from core.market.errors import FileError, ServiceError
from core.market.trades import Bools


@dataclass(frozen=True, slots=True)
class Change:
    """What to do: write `table` (None: nothing) as `path`, then remove `replaced`.

    `touched` are the files there that have ids between those of the new rows.
    """

    path: Path
    table: Table | None
    replaced: tuple[Path, ...] = ()
    touched: tuple[Path, ...] = ()


def settle(new: Table, folder: Path, kind: Kind) -> Change:
    """Return how `new`, which has rows, comes into `folder`.

    Raises:
        FileError: A file that it touches cannot be read.
        ServiceError: A file that it touches holds rows of another feed.

    """
    by = id_name(kind)
    first, last = _bounds(new, by)
    path = folder / part_name(first)
    touched = [p for p in _near(folder, first, last) if _touches(p, by, first, last)]
    if not touched:
        return Change(path, new)
    stored = [decode(p) for p in touched]
    for place, table in zip(touched, stored, strict=True):
        _same_columns(new, table, place)
    old = pa.concat_tables([_finest(table, [new, *stored]) for table in stored])
    if _known(old, new, kind).all():
        return _replacing(folder, new, touched, by)
    there = tuple(touched)
    rest = new.filter(pa.array(~_known(new, old, kind)))
    if not rest.num_rows:
        return Change(path, None, touched=there)
    if not any(_crosses(_bounds(rest, by), _bounds(table, by)) for table in stored):
        return Change(folder / part_name(_bounds(rest, by)[0]), rest, touched=there)
    merged = pa.concat_tables([old, _finest(rest, [new, *stored])])
    return _replacing(folder, merged.sort_by(by), touched, by)


def _replacing(folder: Path, table: Table, touched: list[Path], by: str) -> Change:
    path = folder / part_name(_bounds(table, by)[0])
    replaced = tuple(p for p in touched if p != path)
    return Change(path, table, replaced, tuple(touched))


def _near(folder: Path, first: int, last: int) -> list[Path]:
    # Ranges of the files there do not overlap, so of those that begin before, only the nearest
    # can reach in.
    parts = sorted(
        (start, path)
        for path in folder.glob("part-*.parquet")
        if (start := first_of(path)) is not None and start <= last
    )
    before = [path for start, path in parts if start < first]
    return before[-1:] + [path for start, path in parts if start >= first]


def _touches(path: Path, by: str, first: int, last: int) -> bool:
    try:
        metadata = pq.read_metadata(path)
    except BROKEN as error:
        raise unreadable(path, error) from error
    if not metadata.num_rows:
        return path.name == part_name(first)
    if by not in metadata.schema.names:
        raise FileError(path, f"has no column `{by}`")
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    column = metadata.schema.names.index(by)
    bounds = [group.column(column).statistics for group in groups]
    if not all(b is not None and b.has_min_max for b in bounds):
        return True  # another tool wrote it without them: its rows will tell
    return _crosses((first, last), (min(b.min for b in bounds), max(b.max for b in bounds)))


def _crosses(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _bounds(table: Table, by: str) -> tuple[int, int]:
    ids = table.column(by).to_numpy()
    return (int(ids.min()), int(ids.max())) if len(ids) else (0, -1)


def _known(rows: Table, among: Table, kind: Kind) -> Bools:
    if kind is Kind.TRADES:
        known: Bools = np.isin(rows.column("id").to_numpy(), among.column("id").to_numpy())
        return known
    there = set(_tuples(among))
    return np.fromiter((row in there for row in _tuples(rows)), np.bool_, rows.num_rows)


def _tuples(table: Table) -> list[tuple[Any, ...]]:
    columns = [
        [tuple(numbers) for numbers in column.to_pylist()]
        if pa.types.is_list(column.type)
        else column.to_pylist()
        for column in table.columns
    ]
    return list(zip(*columns, strict=True))


def _same_columns(new: Table, old: Table, path: Path) -> None:
    if new.schema.names != old.schema.names:
        raise ServiceError(
            "lake",
            f"{path} holds rows with columns {' '.join(old.schema.names)}, new ones have "
            f"{' '.join(new.schema.names)}",
            hint="give single trades and aggregates each their own lake (`lake.path`)",
        )


def _finest(table: Table, among: list[Table]) -> Table:
    # Old files keep their scale; rows of several files meet at the finest.
    fields = [
        max((t.schema.field(f.name) for t in among), key=lambda x: x.type.scale)
        if pa.types.is_decimal(f.type)
        else f
        for f in table.schema
    ]
    return table.cast(pa.schema(fields))
