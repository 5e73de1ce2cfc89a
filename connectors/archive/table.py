"""Blocks of lines → exact columns: pyarrow reads them, and only where it cannot, Python looks.

    block ──► pyarrow ──────────────────────────────► columns
                 └─ fails ─► line by line: bad ones named, the others written plainly ─► pyarrow

So there is one way to convert, and a bad line costs its own block some speed, not the file.
Decimals become integers without passing through floats.
"""

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from connectors.archive.layout import CELLS, Cell, Layout
from connectors.archive.opening import Block
from connectors.archive.rows import FALSE, SUM_PLACES, TRUE, plain_row
from core.market.decimals import MAX_PLACES

Ints: TypeAlias = NDArray[np.int64]
Units: TypeAlias = NDArray[Any]
"""Integers: int64, or Python's own (dtype object) where 64 bits do not suffice."""
Bools: TypeAlias = NDArray[np.bool_]
Bad: TypeAlias = tuple[int, str, str]
"""(line, reason, text)."""

_BINANCES_PLACES = 8
_MICROSECONDS_FROM = 10**14
_EARLIEST_MS = 10**12  # 2001; a smaller number is a time in seconds
_LATEST_US = 10**17  # the year 5138; a larger one is in nanoseconds


@dataclass(slots=True)
class Table:
    """Columns of equal length; decimals in units of ``10**-places``, sums of ``10**-sum_places``.

    `time_units` says which units the times were in.
    """

    lines: Ints
    columns: dict[str, Units]
    places: int
    sum_places: int
    time_units: set[str] = field(default_factory=set)

    def take(self, index: "Bools | Ints") -> "Table":
        """Return the rows that `index` selects."""
        columns = {name: column[index] for name, column in self.columns.items()}
        return replace(self, lines=self.lines[index], columns=columns)


class Parser:
    """Reads the blocks of one file."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._plain = Layout(
            len(layout.at), {name: n for n, name in enumerate(layout.at)}, sums=layout.sums
        )

    def parse(self, block: Block) -> tuple[Table, list[Bad]]:
        """Return a block's rows, and the lines that are none."""
        block = _without_header(block, self._layout.header_line)
        lines = np.arange(block.first_line, block.next_line)
        table = _read(block.data, self._layout, lines)
        bad: list[Bad] = []
        if table is None:
            plain, numbers, bad = self._sift(block)
            table = _read(plain, self._plain, np.array(numbers, np.int64))
            if table is None:
                raise AssertionError("lines that were read one by one cannot be read together")
        return refuse(table, self._timed(table), block, bad)

    def _timed(self, table: Table) -> list[tuple[Bools, str]]:
        if self._layout.zoned is not None:
            table.time_units = {"iso"}
            return []
        times = [name for name in self._layout.at if CELLS[name] is Cell.TIME]
        why = "is neither milliseconds nor microseconds of our time"
        return [(_scale_time(table, name), f"{name} {why}") for name in times]

    def _sift(self, block: Block) -> tuple[bytes, list[int], list[Bad]]:
        good: list[str] = []
        numbers: list[int] = []
        bad: list[Bad] = []
        for number, raw in enumerate(block.data.split(b"\n"), block.first_line):
            text = raw.decode("utf-8", "replace").strip()
            if not text:
                continue
            try:
                good.append(plain_row(self._layout, text))
                numbers.append(number)
            except ValueError as error:
                bad.append((number, str(error), text))
        return ("\n".join(good) + "\n").encode(), numbers, bad


def refuse(
    table: Table, reasons: list[tuple[Bools, str]], block: Block, bad: list[Bad]
) -> tuple[Table, list[Bad]]:
    """Return a table without the rows for which a reason holds, and these rows added to `bad`."""
    wrong = np.zeros(len(table.lines), np.bool_)
    texts: list[bytes] = []
    found = list(bad)
    for mask, why in reasons:
        for index in np.flatnonzero(mask & ~wrong).tolist():
            texts = texts or block.data.split(b"\n")
            line = int(table.lines[index])
            text = texts[line - block.first_line].decode("utf-8", "replace").strip()
            found.append((line, why, text))
        wrong |= mask
    return (table.take(~wrong) if wrong.any() else table), sorted(found)


def reduce(units: list[Units], places: int) -> tuple[list[Units], int]:
    """Return columns in the coarsest common unit that holds them exactly, and its places."""
    left = places
    while left and all(not len(u) or int(u[0]) % 10 ** (places - left + 1) == 0 for u in units):
        left -= 1  # what the first row allows, so that mostly one pass confirms it
    while left < places and any((u % 10 ** (places - left)).any() for u in units):
        left += 1
    return [_narrow(u // 10 ** (places - left)) if left < places else u for u in units], left


def refine(units: Units, factor: int) -> Units:
    """Return a column in a unit finer by `factor`, with Python's integers where 64 bits end."""
    if factor == 1 or not len(units):
        return units
    if units.dtype != object and int(units.max()) * factor >= 2**63:
        units = units.astype(object)
    return units * factor


def _narrow(units: Units) -> Units:
    if units.dtype == object and (not len(units) or int(units.max()) < 2**63):
        return units.astype(np.int64)
    return units


def _read(body: bytes, layout: Layout, lines: Ints) -> Table | None:
    if not len(lines):
        empty = {name: np.zeros(0, np.int64) for name in layout.at}
        return Table(lines, empty, 0, 0)
    most = SUM_PLACES if layout.sums else MAX_PLACES
    # What Binance prints, then the most that is allowed: the coarser, the faster.
    for places, sum_places in ((_BINANCES_PLACES, _BINANCES_PLACES), (most, SUM_PLACES)):
        try:
            found = _arrow(body, layout, places, sum_places)
        except pa.ArrowInvalid:
            continue
        if found.num_rows != len(lines):
            return None  # blank lines: the numbers of lines would not fit
        columns = {name: _column(found.column(name)) for name in layout.at}
        if any(_is_negative(name, column) for name, column in columns.items()):
            return None
        return Table(lines, columns, places, sum_places)
    return None


def _arrow(body: bytes, layout: Layout, places: int, sum_places: int) -> pa.Table:
    time = pa.int64()
    if layout.zoned is not None:
        time = pa.timestamp("us", tz="UTC" if layout.zoned else None)
    types = {
        Cell.WHOLE: pa.int64(), Cell.TIME: time, Cell.FLAG: pa.bool_(),
        Cell.DECIMAL: pa.decimal128(38, places), Cell.SUM: pa.decimal128(38, sum_places),
    }  # fmt: skip
    named = {position: name for name, position in layout.at.items()}
    return pacsv.read_csv(
        pa.BufferReader(body),
        pacsv.ReadOptions(
            column_names=[named.get(n, f"unused {n}") for n in range(layout.width)],
            block_size=1 << 20,
            use_threads=False,
        ),
        pacsv.ParseOptions(quote_char=False),
        pacsv.ConvertOptions(
            column_types={name: types[CELLS[name]] for name in layout.at},
            include_columns=list(layout.at),
            true_values=TRUE,
            false_values=FALSE,
            null_values=[],
        ),
    ).combine_chunks()


def _column(chunked: pa.ChunkedArray) -> Units:
    array = chunked.chunk(0)
    if pa.types.is_decimal(array.type):
        return _units(array)
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    column: Units = array.to_numpy(zero_copy_only=False)
    return column


def _units(array: pa.Decimal128Array) -> Units:
    # 16 bytes each, little-endian two's complement: the lower half, then the upper one.
    halves = np.frombuffer(array.buffers()[1], "<i8")[2 * array.offset :][: 2 * len(array)]
    lower, upper = halves[0::2], halves[1::2]
    if bool((upper == lower >> 63).all()):
        return np.ascontiguousarray(lower)
    whole: Units = upper.astype(object) * 2**64 + lower.astype(np.uint64).astype(object)
    return whole


def _without_header(block: Block, header_line: int) -> Block:
    while block.first_line <= header_line and block.data:
        rest = block.data[block.data.index(b"\n") + 1 :]
        block = Block(rest, block.first_line + 1, block.count - 1, block.torn)
    return block


def _is_negative(name: str, column: Units) -> bool:
    if CELLS[name] in {Cell.FLAG, Cell.TIME, Cell.WHOLE}:
        return False
    return int(column.min()) < 0


def _scale_time(table: Table, name: str) -> Bools:
    times: Ints = table.columns[name]
    micro = times >= _MICROSECONDS_FROM
    if len(times):
        table.time_units |= {"us"} if micro.any() else set()
        table.time_units |= set() if micro.all() else {"ms"}
    wrong: Bools = (times < _EARLIEST_MS) | (times >= _LATEST_US)
    if not micro.all():
        table.columns[name] = np.where(micro | wrong, times, times * 1000)
    return wrong
