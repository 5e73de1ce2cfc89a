"""The bytes of a log: frames, each whole or not there.

    0   4  magic
    4   4  CRC-32 of all that follows
    8   4  length of the description
    12  4  length of the rows
    16     description, a JSON object
           rows, an Arrow IPC stream of one batch compressed with lz4; none where it has no rows

Arrow's own stream cannot tell a page of zeros, as a power cut may leave it, from rows. The sum can.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from zlib import crc32

import orjson
import pyarrow as pa

Batch: TypeAlias = pa.RecordBatch
About: TypeAlias = dict[str, Any]
"""What a frame says beside its rows; plain JSON values."""

_MAGIC = b"CTL\x01"
_HEAD = struct.Struct("<4sIII")
_SUMMED = 8
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a log, which lies at ``start <= position < end``."""

    start: int
    end: int
    about: About
    data: memoryview

    def batch(self) -> Batch:
        """Return its rows."""
        with pa.ipc.open_stream(pa.py_buffer(self.data)) as reader:
            return reader.read_next_batch()


def encode(about: About, batch: Batch | None) -> list[bytes | memoryview]:
    """Return the bytes of a frame, in pieces."""
    described = orjson.dumps(about)
    rows = memoryview(b"") if batch is None else _stream(batch)
    total = crc32(rows, crc32(described, crc32(struct.pack("<II", len(described), len(rows)))))
    return [_HEAD.pack(_MAGIC, total, len(described), len(rows)), described, rows]


def decode(data: memoryview, start: int) -> Iterator[Frame]:
    """Yield the frames of `data`, which begins at position `start`, up to the first torn one."""
    at = 0
    while len(data) - at >= _HEAD.size:
        magic, total, described, rows = _HEAD.unpack_from(data, at)
        middle = at + _HEAD.size + described
        end = middle + rows
        if magic != _MAGIC or end > len(data) or crc32(data[at + _SUMMED : end]) != total:
            return
        about = orjson.loads(data[at + _HEAD.size : middle])
        yield Frame(start + at, start + end, about, data[middle:end])
        at = end


def _stream(batch: Batch) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    return memoryview(sink.getvalue())
