"""Arrow tables as Parquet bytes: the same rows give the same bytes, few of them, quick to read.

Integers, times and 18-digit decimals are stored as deltas (DELTA_BINARY_PACKED) without a
dictionary, then compressed with zstd. Every setting that moves a byte is pinned here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from core.market.decimals import MAX_DIGITS
from core.market.errors import FileError

Table: TypeAlias = pa.Table

ROW_GROUP_ROWS = 1 << 17
_PAGE_BYTES = 1 << 20

BROKEN = (pa.ArrowException, OSError, UnicodeError)
"""What reading a damaged file raises."""


def encode(table: Table, level: int) -> memoryview:
    """Return a table as a Parquet file; `level` is zstd's."""
    sink = pa.BufferOutputStream()
    with writer(sink, table.schema, level) as file:
        # Pages must not follow the chunks in which rows came.
        file.write_table(table.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
    return memoryview(sink.getvalue())


def writer(sink: object, schema: pa.Schema, level: int) -> pq.ParquetWriter:
    """Return what writes a file like those of the lake, table by table, to an open sink."""
    return pq.ParquetWriter(
        sink,
        schema,
        version="2.6",
        data_page_version="1.0",
        data_page_size=_PAGE_BYTES,
        compression="zstd",
        compression_level=level,
        use_dictionary=[f.name for f in schema if pa.types.is_string(f.type)],
        column_encoding=dict(_encodings(schema)),
        store_decimal_as_integer=True,
        write_statistics=True,
        write_page_checksum=True,
    )


def decode(path: Path, columns: list[str] | None = None) -> Table:
    """Return a file of the lake, or raise `FileError`."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns)
    except BROKEN as error:
        raise unreadable(path, error) from error


def schema(path: Path) -> pa.Schema:
    """Return the columns of a file of the lake, or raise `FileError`."""
    try:
        return pq.read_schema(path)
    except BROKEN as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> FileError:
    """Return what to raise for a file that cannot be read."""
    return FileError(
        path, f"not a readable Parquet file ({(str(error) or repr(error)).splitlines()[0]})"
    )


def _encodings(schema: pa.Schema) -> Iterator[tuple[str, str]]:
    for field in schema:
        if pa.types.is_list(field.type):
            yield f"{field.name}.list.element", _encoding(field.type.value_type)
        elif _is_number(field.type):
            yield field.name, _encoding(field.type)


def _is_number(kind: pa.DataType) -> bool:
    return not (pa.types.is_string(kind) or pa.types.is_boolean(kind))


def _encoding(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind) and kind.precision > MAX_DIGITS:
        return "BYTE_STREAM_SPLIT"  # 16 bytes wide; most of them are the same in every row
    if pa.types.is_floating(kind):
        return "BYTE_STREAM_SPLIT"  # signs and exponents are much the same in every row
    return "DELTA_BINARY_PACKED"
