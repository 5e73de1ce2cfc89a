"""Tables as downloads: CSV, Arrow and Parquet, a piece at a time."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import orjson
import pyarrow as pa

from api.data.entries import KEY
from api.data.query import Query
from api.data.shapes import TRADES, Shape, fixed
from connectors.parquet import encoding
from connectors.parquet.shelf import look
from connectors.parquet.tables import Table
from core.market import schemas
from core.market.decimals import MAX_DIGITS

MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
"""Formats of downloads and their media types."""

_LEVEL = 3


class Encoder(Protocol):
    """Turns tables into the bytes of a file."""

    def add(self, table: Table) -> bytes:
        """Return what can be sent after a table."""
        ...

    def end(self) -> bytes:
        """Return the rest."""
        ...


def encoder(name: str, shape: Shape, schema: pa.Schema) -> Encoder:
    """Return the encoder of a format, a name of `MEDIA`."""
    if name == "csv":
        return _Csv(shape, schema)
    return _Binary(schema, _MAKERS[name])


def schema_of(shape: Shape, scales: tuple[int, int], digits: int, *, aggregate: bool) -> pa.Schema:
    """Return the columns of a download: the lake's, and whose a row is where there are several."""
    found = fixed(shape)
    if found is not None:
        return found if shape.is_single else pa.schema([KEY, *found])
    own = schemas.trades(*scales, aggregate=aggregate)
    return pa.schema([_loosened(field, digits) for field in own])


def stored_scales(root: Path, query: Query) -> set[tuple[int, int, bool]]:
    """Return the scales of price and quantity of all files of a query, and whether of aggregates.

    It blocks, though it reads no rows.
    """
    shelf = look(root, query.wanted)
    found: set[tuple[int, int, bool]] = set()
    for day in shelf.days() if shelf is not None else ():
        for part in shelf.parts(day) if shelf is not None else ():
            schema = part.rows.schema if part.rows is not None else encoding.schema(part.path)
            found.add(scales_of(schema))
    return found


def scales_of(schema: pa.Schema) -> tuple[int, int, bool]:
    """Return the scales of price and quantity of trades, and whether they are aggregates."""
    price, quantity = (schema.field(name).type.scale for name in ("price", "quantity"))
    return price, quantity, "first_id" in schema.names


def download_schema(shape: Shape, found: set[tuple[int, int, bool]]) -> pa.Schema:
    """Return the columns of a download whose rows have these scales."""
    if shape is not TRADES:
        return schema_of(shape, (0, 0), MAX_DIGITS, aggregate=False)
    scales = max((p for p, _, _ in found), default=0), max((q for _, q, _ in found), default=0)
    aggregate = bool(found) and all(aggregated for _, _, aggregated in found)
    # Rows of one scale have 18 digits; at the finer one of others they may have more.
    digits = MAX_DIGITS if len(found) < 2 else 38
    return schema_of(shape, scales, digits, aggregate=aggregate)


def fitted(table: Table, schema: pa.Schema) -> Table:
    """Return a table with exactly these columns."""
    return table.select(schema.names).cast(schema)


def disposition(name: str) -> str:
    """Return the header that names a file, in any alphabet."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='._-')}"


def _loosened(field: pa.Field, digits: int) -> pa.Field:
    if pa.types.is_decimal(field.type):
        return field.with_type(pa.decimal128(digits, field.type.scale))
    return field.with_nullable(True) if field.name == "repaired" else field


class _Csv:
    def __init__(self, shape: Shape, schema: pa.Schema) -> None:
        self._shape = shape
        self._names: list[str] | None = None
        self._empty = schema.empty_table()

    def add(self, table: Table) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        items = self._shape.items(table)
        if self._names is None and items:
            self._names = list(items[0])
            writer.writerow(self._names)
        writer.writerows([_cell(item.get(n)) for n in self._names or ()] for item in items)
        return out.getvalue().encode()

    def end(self) -> bytes:
        return b""


class _Buffer(io.RawIOBase):
    """Where a writer of files writes to; what was written is taken out and sent."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def take(self) -> bytes:
        found = b"".join(self._parts)
        self._parts.clear()
        return found


class _Binary:
    def __init__(self, schema: pa.Schema, make: Callable[[Any, pa.Schema], Any]) -> None:
        self._schema = schema
        self._buffer = _Buffer()
        self._writer = make(pa.PythonFile(self._buffer, "w"), schema)

    def add(self, table: Table) -> bytes:
        self._writer.write_table(fitted(table, self._schema).combine_chunks())
        return self._buffer.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._buffer.take()


def _cell(value: Any) -> object:  # noqa: ANN401 - of any column
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return "" if value is None else value


def _parquet(sink: Any, schema: pa.Schema) -> Any:  # noqa: ANN401 - pyarrow has no types
    return encoding.writer(sink, schema, _LEVEL)


_MAKERS: dict[str, Callable[[Any, pa.Schema], Any]] = {
    "arrow": pa.ipc.new_stream,
    "parquet": _parquet,
}
