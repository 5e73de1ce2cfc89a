"""Recorded inputs on disk: their place, their bytes, and how they are read.

    recordings/binance/shard-0/1723161253937085.parquet

The number is our clock, in microseconds, when the first frame came; should the clock have been set
back, the lowest number that still sorts behind the files there.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

from core.market.errors import FileError
from core.market.events import Frame
from core.market.schemas import FRAMES, TIME

Batch: TypeAlias = pa.RecordBatch

ROW_GROUP_ROWS = 8192
_KEY = b"key"
_OPTIONS: dict[str, Any] = {
    "version": "2.6",
    "data_page_version": "1.0",
    "data_page_size": 1 << 20,
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": ["kind"],
    "column_encoding": {
        "received": "DELTA_BINARY_PACKED",
        "link": "DELTA_BINARY_PACKED",
        "payload": "PLAIN",
    },
    "write_statistics": ["received"],
    "write_page_checksum": True,
}
"""All that moves a byte."""
_BROKEN = (pa.ArrowException, OSError, UnicodeError)


def folder(root: Path, key: str) -> Path:
    """Return the folder of a shard, whose key is ``binance:shard-0``."""
    exchange, _, shard = key.partition(":")
    return root / quote(exchange, safe="") / quote(shard, safe="")


def file_name(number: int) -> str:
    """Return the name of the file with that number."""
    return f"{number:016d}.parquet"


def numbered(place: Path) -> list[tuple[int, Path]]:
    """Return the numbers and paths of a shard's files, in order; none if it has no folder."""
    return sorted((int(p.stem), p) for p in place.glob("*.parquet") if p.stem.isdecimal())


def to_batch(frames: Sequence[Frame]) -> Batch:
    """Return frames of one shard as one batch."""
    arrays = [
        pa.array([f.received_us for f in frames], pa.int64()).view(TIME),
        pa.array([f.kind for f in frames]),
        pa.array([f.link for f in frames], pa.int32()),
        pa.array([f.payload for f in frames]),
    ]
    return pa.record_batch(arrays, schema=FRAMES)


def concatenated(batches: Sequence[Batch]) -> Batch:
    """Return frames as one batch."""
    (batch,) = pa.Table.from_batches(batches, FRAMES).combine_chunks().to_batches()
    return batch


def from_batch(key: str, batch: Batch) -> list[Frame]:
    """Return the frames of a batch, in order."""
    received = batch.column("received").view(pa.int64()).to_pylist()
    columns = (batch.column(name).to_pylist() for name in ("kind", "link", "payload"))
    return [Frame(key, *row) for row in zip(received, *columns, strict=True)]


class Encoder:
    """A Parquet file in the making: frames go in as they come, a row group at a time is packed.

    The bytes are those of a file made at once: groups have 8,192 frames wherever batches end. It
    names its key, so it can be read from anywhere.
    """

    def __init__(self, key: str) -> None:
        self._schema = FRAMES.with_metadata({_KEY: key.encode()})
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(self._sink, self._schema, **_OPTIONS)
        self._rest: list[Batch] = []
        self._rows = 0

    def add(self, batch: Batch) -> None:
        """Take frames."""
        self._rest.append(batch)
        self._rows += batch.num_rows
        while self._rows >= ROW_GROUP_ROWS:
            self._pack(ROW_GROUP_ROWS)

    def finish(self) -> memoryview:
        """Return the file; nothing can be added any more."""
        if self._rows:
            self._pack(self._rows)
        self._writer.close()
        return memoryview(self._sink.getvalue())

    def _pack(self, rows: int) -> None:
        batch = concatenated(self._rest)
        table = pa.Table.from_batches([batch.slice(0, rows)]).cast(self._schema)
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        self._rows -= rows
        self._rest = [batch.slice(rows)] if self._rows else []


def encode(key: str, batches: Sequence[Batch]) -> memoryview:
    """Return a Parquet file of frames of one shard."""
    encoder = Encoder(key)
    for batch in batches:
        encoder.add(batch)
    return encoder.finish()


def key_of(path: Path) -> str:
    """Return the key of a file's shard, or raise `FileError`."""
    try:
        return _key(path, pq.read_schema(path))
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def read(path: Path) -> Iterator[list[Frame]]:
    """Yield a file's frames in order, a list per row group, or raise `FileError`."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            key = _key(path, file.schema_arrow)
            for group in range(file.metadata.num_row_groups):
                table = file.read_row_group(group, use_threads=False)
                for batch in table.combine_chunks().to_batches():
                    yield from_batch(key, batch)
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def walk(root: Path) -> Iterator[Path]:
    """Yield the recorded files below a folder, in no order."""
    for place, _, names in os.walk(root):
        for name in names:
            path = Path(place, name)
            if path.suffix == ".parquet" and path.stem.isdecimal():
                yield path


def _key(path: Path, schema: pa.Schema) -> str:
    names = [(f.name, f.type) for f in schema]
    if names != [(f.name, f.type) for f in FRAMES]:
        raise FileError(path, "not a recording: its columns are not those of recorded inputs")
    stored = (schema.metadata or {}).get(_KEY)
    if stored is not None:
        return str(stored.decode())
    return f"{unquote(path.parent.parent.name)}:{unquote(path.parent.name)}"


def _unreadable(path: Path, error: Exception) -> FileError:
    return FileError(
        path, f"not a readable Parquet file ({(str(error) or repr(error)).splitlines()[0]})"
    )
