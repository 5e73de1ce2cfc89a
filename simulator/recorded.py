"""Recorded trades as a market: Binance's `trades` files, or Parquet files of the lake.

    BTCUSDT-trades-2025-01-31.csv, .zip    id,price,qty,quote_qty,time,is_buyer_maker,...
    …/symbol=BTCUSDT/…/part-*.parquet      id time price quantity buyer_is_maker (core schemas)

The recording says when trades happened, not when the stream said so: ``E`` is ``T`` plus 1 ms.
"""

import io
import re
import zipfile
from array import array
from bisect import bisect_left
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from core.market.errors import FileError
from simulator.tape import SECOND_US, UNITS, Block, Tape

_DELAY_US = 1_000
_SPAN_US = 10 * SECOND_US
_PLACES = 8
_MICROSECONDS_FROM = 10**14  # smaller times are milliseconds
_NAMES = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker")
_FOLDER = re.compile(r"symbol=([^/\\]+)")
_FILE = re.compile(r"([^-/\\]+)-trades-")
_DECIMAL = pa.decimal128(38, _PLACES)

_Ints = NDArray[np.int64]


class RecordedTape(Tape):
    """The trades of one recorded symbol; columns of equal length in id order."""

    span_us = _SPAN_US
    lag_us = _DELAY_US

    def __init__(
        self, ids: _Ints, times: _Ints, prices: _Ints, quantities: _Ints, makers: NDArray[np.bool_]
    ) -> None:
        self._ids, self._times = _array(ids), _array(times)
        self._prices, self._quantities = _array(prices), _array(quantities)
        self._makers = makers.astype(np.uint8).tobytes()
        self._starts = _array(_starts(ids, times, prices, makers))
        real = np.where(prices > 0, np.arange(len(prices)), -1)
        self._last_real = _array(np.maximum.accumulate(real))
        self.begin_us = self._times[0] - self._times[0] % _SPAN_US

    def block(self, index: int) -> Block:
        """Return a block, cut from the columns."""
        begin = self.begin_us + index * _SPAN_US
        lo = bisect_left(self._times, begin)
        hi = bisect_left(self._times, begin + _SPAN_US, lo)
        first, last = bisect_left(self._starts, lo), bisect_left(self._starts, hi)
        times = self._times[lo:hi]
        before = self._last_real[lo - 1] if lo else -1
        return Block(
            begin,
            begin + _SPAN_US,
            lo,
            first,
            self._prices[before] if before >= 0 else 0,
            self._ids[lo:hi],
            times,
            array("q", [t + _DELAY_US for t in times]),
            self._prices[lo:hi],
            self._quantities[lo:hi],
            self._makers[lo:hi],
            array("q", [start - lo for start in self._starts[first:last]]),
        )

    def block_of_trade(self, position: int) -> int:
        """Return the block that holds the trade, the last one for positions behind it."""
        return self.index_at(self._times[min(position, len(self._times) - 1)])

    def block_of_aggregate(self, position: int) -> int:
        """Return the block that holds the aggregate."""
        return self.block_of_trade(self._starts[min(position, len(self._starts) - 1)])

    def position_of(self, trade_id: int) -> int:
        """Return the position of the first trade whose id is at least `trade_id`."""
        return bisect_left(self._ids, trade_id)

    def grids(self) -> tuple[Decimal, Decimal]:
        """Return the coarsest powers of ten that divide all prices, and all quantities."""
        return _grid(self._prices), _grid(self._quantities)


def read_tape(path: Path, symbol: str = "") -> tuple[str, RecordedTape]:
    """Return the symbol and the trades of a file or folder, or raise `FileError`."""
    symbol = symbol or _symbol_of(path)
    try:
        table = _read_parquet(path) if path.is_dir() or path.suffix == ".parquet" else _read(path)
        return symbol, _tape(path, table)
    except (OSError, zipfile.BadZipFile, pa.ArrowException, KeyError) as exc:
        raise FileError(path, f"cannot be read as trades ({exc})") from exc


def _symbol_of(path: Path) -> str:
    match = _FOLDER.search(str(path)) or _FILE.search(path.name)
    if match is None:
        raise FileError(path, "its name has no symbol: give the symbol beside the path")
    return match[1].upper()


def _read(path: Path) -> pa.Table:
    data = path.read_bytes()
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            data = archive.read(archive.namelist()[0])
    header = not data[:1].isdigit()
    width = data.split(b"\n", 1)[0].count(b",") + 1
    if width < len(_NAMES):
        raise FileError(path, f"has {width} columns, expected {', '.join(_NAMES)}")
    names = [*_NAMES, *(f"more_{i}" for i in range(width - len(_NAMES)))]
    decimals = {"price": _DECIMAL, "qty": _DECIMAL}
    table = pyarrow.csv.read_csv(
        pa.BufferReader(data),
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=int(header)),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={"id": pa.int64(), "time": pa.int64(), "is_buyer_maker": pa.bool_()}
            | decimals,
            include_columns=["id", "time", "price", "qty", "is_buyer_maker"],
        ),
    )
    return table.rename_columns(["id", "time", "price", "quantity", "buyer_is_maker"])


def _read_parquet(path: Path) -> pa.Table:
    files = sorted(path.rglob("part-*.parquet")) if path.is_dir() else [path]
    if not files:
        raise FileError(path, "holds no part-*.parquet")
    columns = ["id", "time", "price", "quantity", "buyer_is_maker"]
    # One file at a time: folder names such as symbol=… would become columns.
    tables = [pyarrow.parquet.ParquetFile(file).read(columns=columns) for file in files]
    cast = [
        pa.table(
            [
                t["id"],
                t["time"].cast(pa.int64()),
                t["price"].cast(_DECIMAL),
                t["quantity"].cast(_DECIMAL),
                t["buyer_is_maker"],
            ],
            names=columns,
        )
        for t in tables
    ]
    return pa.concat_tables(cast)


def _tape(path: Path, table: pa.Table) -> RecordedTape:
    if not len(table):
        raise FileError(path, "holds no trade")
    # Files can be out of id order, and overlap.
    table = table.sort_by("id")
    ids = table["id"].to_numpy()
    table = table.filter(pa.array(np.concatenate(([True], ids[1:] != ids[:-1]))))
    ids, times = table["id"].to_numpy(), table["time"].to_numpy()
    times = np.where(times < _MICROSECONDS_FROM, times * 1000, times)
    back = np.flatnonzero(times[1:] < times[:-1])
    if len(back):
        raise FileError(path, "time falls in id order", value=f"trade {ids[back[0] + 1]}")
    makers = table["buyer_is_maker"].to_numpy(zero_copy_only=False)
    return RecordedTape(
        ids, times, _units(path, table["price"]), _units(path, table["quantity"]), makers
    )


def _units(path: Path, column: pa.ChunkedArray) -> _Ints:
    if pc.max(column).as_py() >= Decimal(2**63) / UNITS:
        raise FileError(path, "is beyond 64 bits at eight places", value=str(pc.max(column)))
    whole = column.combine_chunks()
    values = np.frombuffer(whole.buffers()[1], np.int64)[2 * whole.offset :]
    # A decimal128 is two words, the lower first; the upper is 0 for what fits 63 bits.
    lower: _Ints = values[: 2 * len(whole) : 2]
    return lower


def _starts(ids: _Ints, times: _Ints, prices: _Ints, makers: NDArray[np.bool_]) -> _Ints:
    same = (
        (ids[1:] == ids[:-1] + 1)
        & (times[1:] == times[:-1])
        & (prices[1:] == prices[:-1])
        & (makers[1:] == makers[:-1])
    )
    return np.flatnonzero(np.concatenate(([True], ~same)))


def _grid(units: "array[int]") -> Decimal:
    common = int(np.gcd.reduce(np.frombuffer(units, np.int64)))
    power = next(p for p in range(18, -1, -1) if common % 10**p == 0)
    return Decimal(1).scaleb(min(power, _PLACES) - _PLACES)


def _array(values: _Ints) -> "array[int]":
    out = array("q")
    out.frombytes(np.ascontiguousarray(values, np.int64).tobytes())
    return out
