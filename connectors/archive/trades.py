"""Binance's files of trades and aggTrades → columns, in id order.

The fast way reads blocks with pyarrow and never makes a Python object of a row; where a block
cannot be read that way, the file is gone through line by line, so that the one bad line is named
and the others are kept. Rows are sorted within windows of four million; what is out of order
beyond that is caught by the flow's own check.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from connectors.archive.names import ArchiveFile, Kind
from connectors.archive.opening import BROKEN, first_line, open_bytes
from core.exchange.columns import Columns
from core.exchange.wire import to_us
from core.market.errors import DecimalError
from core.market.events import PAYLOAD_LIMIT, Quarantined
from core.market.trades import Trades, concat

Out: TypeAlias = Trades | Quarantined
Ints: TypeAlias = NDArray[np.int64]

_WINDOW_ROWS = 4_000_000
_BATCH_ROWS = 1 << 16
_BLOCK_BYTES = 8 << 20
_PLACES = 8  # Binance prints no more; a file that does takes the patient way
_DECIMAL = pa.decimal128(18, _PLACES)
_MICROSECONDS_FROM = 10**14


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column holds what; `width` columns may follow up to `most`."""

    names: tuple[str, ...]
    most: int


_LAYOUTS = {
    Kind.TRADES: Layout(("id", "price", "quantity", "quote", "time", "maker"), 7),
    Kind.AGGREGATES: Layout(("id", "price", "quantity", "first", "last", "time", "maker"), 8),
}
_TYPES = {
    "id": pa.int64(), "price": _DECIMAL, "quantity": _DECIMAL, "time": pa.int64(),
    "maker": pa.bool_(), "first": pa.int64(), "last": pa.int64(),
}  # fmt: skip


def read_trades(file: ArchiveFile) -> Iterator[Out]:
    """Yield a file's rows as batches of up to 65,536, and what of it cannot be used.

    Raises:
        FileError: A zip whose own checksum is wrong.

    """
    window: list[Trades] = []
    rows = 0
    for item in _items(file):
        if isinstance(item, Quarantined):
            yield item
            continue
        window.append(item)
        rows += len(item)
        if rows >= 2 * _WINDOW_ROWS:
            whole = _sorted(concat(window))
            yield from _batches(whole.take(slice(0, rows - _WINDOW_ROWS)))
            window, rows = [whole.take(slice(rows - _WINDOW_ROWS, rows))], _WINDOW_ROWS
    if window:
        yield from _batches(_sorted(concat(window)))


def _items(file: ArchiveFile) -> Iterator[Out]:
    start = first_line(file.path)
    if not start:
        yield from _patiently(file, 0)
        return
    done = 0
    try:
        for trades in _fast(file, start):
            done += len(trades)
            yield trades
    except (pa.ArrowInvalid, *BROKEN):
        yield from _patiently(file, done)


def has_header(start: str) -> bool:
    """Say whether a first line is a header: its first cell is no number."""
    return not start.split(",", 1)[0].strip().lstrip("-").isdigit()


def _fast(file: ArchiveFile, start: str) -> Iterator[Trades]:
    layout = _LAYOUTS[file.kind]
    width = len(start.split(","))
    if not len(layout.names) <= width <= layout.most:
        raise pa.ArrowInvalid(f"{width} columns")
    names = [*layout.names, *(f"unused{n}" for n in range(width - len(layout.names)))]
    wanted = [name for name in layout.names if name in _TYPES]
    with open_bytes(file.path) as stream:
        reader = pacsv.open_csv(
            stream,
            pacsv.ReadOptions(
                column_names=names,
                skip_rows=1 if has_header(start) else 0,
                block_size=_BLOCK_BYTES,
                use_threads=False,
            ),
            pacsv.ParseOptions(),
            pacsv.ConvertOptions(
                column_types={name: _TYPES[name] for name in wanted},
                include_columns=wanted,
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
                null_values=[],
            ),
        )
        for batch in reader:
            if batch.num_rows:
                yield _columns(file, batch)


def _columns(file: ArchiveFile, batch: pa.RecordBatch) -> Trades:
    get = {name: batch.column(n) for n, name in enumerate(batch.schema.names)}
    price, quantity = _units(get["price"]), _units(get["quantity"])
    if int(price.min()) < 0 or int(quantity.min()) < 0:
        raise pa.ArrowInvalid("a negative number")
    price_scale, quantity_scale = _places(price), _places(quantity)
    time: Ints = get["time"].to_numpy()
    aggregate = file.kind is Kind.AGGREGATES
    return Trades(
        key=file.key,
        price_scale=price_scale,
        quantity_scale=quantity_scale,
        id=get["id"].to_numpy(),
        time_us=np.where(time >= _MICROSECONDS_FROM, time, time * 1000),
        price=price // 10 ** (_PLACES - price_scale),
        quantity=quantity // 10 ** (_PLACES - quantity_scale),
        buyer_is_maker=get["maker"].to_numpy(zero_copy_only=False),
        first_id=get["first"].to_numpy() if aggregate else None,
        last_id=get["last"].to_numpy() if aggregate else None,
    )


def _units(decimals: pa.Decimal128Array) -> Ints:
    # A decimal of up to 18 digits fits in the lower half of its 16 little-endian bytes.
    halves = np.frombuffer(decimals.buffers()[1], "<i8")
    start = 2 * decimals.offset
    units: Ints = halves[start : start + 2 * len(decimals) : 2]
    return units


def _places(units: Ints) -> int:
    places = _PLACES
    while places and not bool((units % 10 ** (_PLACES - places + 1)).any()):
        places -= 1
    return places


def _sorted(trades: Trades) -> Trades:
    if bool((trades.id[1:] < trades.id[:-1]).any()):
        return trades.take(np.argsort(trades.id, kind="stable"))
    return trades


def _batches(trades: Trades) -> Iterator[Trades]:
    for start in range(0, len(trades), _BATCH_ROWS):
        yield trades.take(slice(start, start + _BATCH_ROWS))


def _patiently(file: ArchiveFile, skip: int) -> Iterator[Out]:
    columns = Columns(file.key, 0, 0)
    for number, text in lines(file.path):
        if number < 0:
            yield bad(file.key, file.path, -number, "the file is cut off or damaged here", text)
            break
        cells = next(csv.reader([text]))
        if number == 1 and has_header(text):
            continue
        if skip:
            skip -= 1
            continue
        why = _append(columns, cells, file.kind)
        if why:
            yield bad(file.key, file.path, number, why, text)
    yield from columns.drain()


def _append(columns: Columns, cells: list[str], kind: Kind) -> str:
    layout = _LAYOUTS[kind]
    if not len(layout.names) <= len(cells) <= layout.most:
        return f"{len(cells)} columns, expected {len(layout.names)} to {layout.most}"
    cell = dict(zip(layout.names, (c.strip() for c in cells), strict=False))
    maker = cell["maker"].lower()
    if maker not in {"true", "false"}:
        return f"is_buyer_maker is `{cell['maker']}`"
    try:
        number = _whole(cell["id"])
        first, last = _whole(cell.get("first", cell["id"])), _whole(cell.get("last", cell["id"]))
        price, quantity = plain(cell["price"]), plain(cell["quantity"])
        row = (number, to_us(_whole(cell["time"])), price, quantity,
               maker == "true", first, last)  # fmt: skip
        columns.append(row, aggregate=kind is Kind.AGGREGATES, repaired=False)
    except (ValueError, DecimalError) as error:
        return str(error)
    return ""


def _whole(text: str) -> int:
    number = int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdigit() else None
    if number is None or not -1 <= number < 2**62:
        raise ValueError(f"`{text}` is no id or time")
    return number


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of lines that are not blank.

    Where a gzip file is cut off or damaged, the last item has the negative number of the line
    that could not be read.
    """
    number = 0
    with open_bytes(path) as file:
        try:
            for line in file:
                number += 1
                text = line.decode("utf-8", "replace").strip()
                if text:
                    yield number, text
        except BROKEN as error:
            yield -(number + 1), str(error)


def bad(key: str, path: Path, line: int, why: str, payload: str, time_us: int = 0) -> Quarantined:
    """Return the event of a line that cannot be used."""
    return Quarantined(key, time_us, line, why, f"{path.name}:{line}", payload[:PAYLOAD_LIMIT])


def plain(text: str) -> str:
    """Return a decimal without an exponent; others print small numbers as ``1e-05``.

    >>> plain("1e-05"), plain("1.5e2"), plain("7"), plain("NaN")
    ('0.00001', '150', '7', 'NaN')
    """
    if "e" not in text.lower():
        return text
    digits, _, power = text.lower().partition("e")
    if not power.lstrip("-+").isdigit() or not digits.replace(".", "", 1).isdigit():
        return text
    whole, _, fraction = digits.partition(".")
    shift = int(power)
    if shift >= 0:
        fraction = fraction.ljust(shift, "0")
        return f"{whole}{fraction[:shift]}.{fraction[shift:]}".rstrip(".")
    return f"0.{'0' * (-shift - len(whole))}{whole}{fraction}"
