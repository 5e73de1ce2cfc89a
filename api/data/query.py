"""What is asked for, and the rows of a table that answer it: in order, each once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from api.data.columns import WIDE
from api.data.shapes import KLINES, Shape
from connectors.parquet.layout import Wanted, day_of
from connectors.parquet.shelf import Bounds
from connectors.parquet.tables import Table

Place: TypeAlias = tuple[int | str, ...]
"""Where a row stands: its values of the columns of the order, times in microseconds."""

SOURCE = "~source"
"""Column that says where a row was found: of copies, the one from the lake is kept."""

_FIRST_US, _LAST_US = -(1 << 62), 1 << 62


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows, and in which order.

    Attributes:
        shape: Of which kind.
        keys: Of which instruments; None: of all.
        interval: Of klines; of features it is a filter.
        start_us: First time.
        end_us: End of time, exclusive.
        descending: Newest first.
        filters: (column, value) that rows must have.
        revisions: Whether klines that were issued again come again.
        after: Only rows behind this place.

    """

    shape: Shape
    keys: tuple[str, ...] | None = None
    interval: str = ""
    start_us: int | None = None
    end_us: int | None = None
    descending: bool = False
    filters: tuple[tuple[str, str], ...] = ()
    revisions: bool = False
    after: Place | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """Columns by which rows are ordered, and named."""
        if self.shape is KLINES and not self.revisions:
            return self.shape.order[:1]
        return self.shape.order

    @property
    def span(self) -> tuple[int, int]:
        """First and last time, inclusive; those that the place allows."""
        low = _FIRST_US if self.start_us is None else self.start_us
        high = _LAST_US if self.end_us is None else self.end_us - 1
        at = self.reached_us
        if at is not None:
            low, high = (low, min(high, at)) if self.descending else (max(low, at), high)
        return low, high

    @property
    def reached_us(self) -> int | None:
        """The time of the place, where the order says one."""
        if self.after is None or self.shape.time not in self.order:
            return None
        return int(self.after[self.order.index(self.shape.time)])

    @property
    def wanted(self) -> Wanted:
        """Which files of a lake."""
        low, high = self.span
        return Wanted(
            self.shape.kind,
            None if self.keys is None else frozenset(self.keys),
            day_of(low) if low > 0 else "",
            day_of(high) if high < _LAST_US - 1 else "",
            frozenset({self.interval}) if self.interval else None,
        )

    @property
    def bounds(self) -> Bounds:
        """Which pieces of files."""
        found = {self.shape.time: self.span}
        if self.order == ("id",) and self.after is not None:
            at = int(self.after[0])
            found["id"] = (_FIRST_US, at - 1) if self.descending else (at + 1, _LAST_US)
        return found

    def until(self, time_us: int) -> "Query":
        """Return the same for rows that come no later, in its order, than a time."""
        low, high = self.span
        if self.descending:
            return replace(self, start_us=max(low, time_us))
        return replace(self, end_us=min(high, time_us) + 1)


def top(tables: Sequence[Table], query: Query, count: int) -> Table | None:
    """Return the first rows of some tables that answer a query, each once; None: there are none."""
    kept = [_answering(table, query) for table in tables]
    kept = [table for table in kept if table.num_rows]
    if not kept:
        return None
    return _once(_sorted(pa.concat_tables(agreed(kept)), query), query).slice(0, count)


def place_of(table: Table, row: int, query: Query) -> Place:
    """Return where a row stands."""
    found: list[int | str] = []
    for name in query.order:
        cell = table.column(name)[row]
        found.append(cell.value if pa.types.is_timestamp(cell.type) else cell.as_py())
    return tuple(found)


def time_at(table: Table, row: int, query: Query) -> int:
    """Return the time of a row, microseconds."""
    return int(table.column(query.shape.time)[row].value)


def agreed(tables: Sequence[Table]) -> list[Table]:
    """Return tables with the same columns and types: decimals at the finest scale among them."""
    first = tables[0].schema
    if all(table.schema.equals(first) for table in tables):
        return list(tables)
    names = [name for name in first.names if all(name in t.schema.names for t in tables)]
    fields = [_joined([t.schema.field(name) for t in tables]) for name in names]
    wanted = pa.schema(fields)
    return [table.select(names).cast(wanted) for table in tables]


def _joined(fields: list[pa.Field]) -> pa.Field:
    first = fields[0]
    kind, null = first.type, any(f.nullable for f in fields)
    if pa.types.is_decimal(kind) and any(f.type != kind for f in fields):
        kind = pa.decimal128(WIDE, max(f.type.scale for f in fields))
    return pa.field(first.name, kind, nullable=null, metadata=first.metadata)


def _answering(table: Table, query: Query) -> Table:
    column = table.column(query.shape.time)
    low, high = query.span
    mask = pc.and_(_at_least(column, low), _at_most(column, high))
    if query.after is not None:
        mask = pc.and_(mask, _behind(table, query))
    for name, value in query.filters:
        mask = pc.and_(mask, pc.equal(table.column(name), value))
    if query.keys is not None and not query.shape.is_single:
        mask = pc.and_(mask, pc.is_in(table.column("key"), pa.array(query.keys, pa.string())))
    return table.filter(mask)


def _at_least(column: pa.ChunkedArray, low: int) -> Any:  # noqa: ANN401 - pyarrow has no types
    return pc.greater_equal(column.cast(pa.int64()), low)


def _at_most(column: pa.ChunkedArray, high: int) -> Any:  # noqa: ANN401 - pyarrow has no types
    return pc.less_equal(column.cast(pa.int64()), high)


def _behind(table: Table, query: Query) -> Any:  # noqa: ANN401 - pyarrow has no types
    compare = pc.less if query.descending else pc.greater
    mask = None
    for name, value in reversed(list(zip(query.order, query.after or (), strict=True))):
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        here = compare(column, value)
        mask = here if mask is None else pc.or_(here, pc.and_(pc.equal(column, value), mask))
    return mask


def _sorted(table: Table, query: Query) -> Table:
    way = "descending" if query.descending else "ascending"
    by = [(name, way) for name in query.order]
    if query.shape is KLINES:  # of several with the same name, the best comes first
        by += [(name, "descending") for name in ("revision", "complete", "seq") if name not in
               query.order]  # fmt: skip
    return table.sort_by([*by, (SOURCE, "ascending")])


def _once(table: Table, query: Query) -> Table:
    if table.num_rows < 2:
        return table
    other = pa.array([True] + [False] * (table.num_rows - 1))
    for name in query.order:
        column = table.column(name).combine_chunks()
        differs = pc.not_equal(column.slice(1), column.slice(0, len(column) - 1))
        other = pc.or_(other, pa.concat_arrays([pa.array([True]), _flat(differs)]))
    return table.filter(other)


def _flat(array: Any) -> pa.Array:  # noqa: ANN401 - pyarrow has no types
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
