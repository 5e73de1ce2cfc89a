"""Reads the paper portfolio back from a lake: fills, and what accounts were worth."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.parquet.encoding import decode
from connectors.parquet.layout import Kind, Part, Wanted, find
from connectors.parquet.open_rows import logged_parts
from connectors.parquet.tables import SHAPES, Table, equity_of, fills_of
from core.market.errors import FileError
from core.market.paper import Equity, Fill


def read_fills(
    path: Path,
    symbols: Collection[str] | None = None,
    instances: Collection[str] | None = None,
    *,
    pending: bool = False,
) -> Iterator[Fill]:
    """Yield fills, key by key, each in the order of emission.

    Args:
        path: The lake, or any folder of it.
        symbols: Symbols (``BTCUSDT``) or keys (``binance:BTCUSDT``); None for all.
        instances: Names of instances; None for all.
        pending: Whether to read the rows that are in no file yet, too.

    Raises:
        FileError: A file that is no fills of a lake, or broken; or no such path.

    """
    for key, table in _tables(path, Wanted(Kind.FILLS, symbols), instances, pending=pending):
        for batch in table.to_batches():
            yield from fills_of(key, batch)


def read_equity(
    path: Path,
    symbols: Collection[str] | None = None,
    instances: Collection[str] | None = None,
    *,
    pending: bool = False,
) -> Iterator[Equity]:
    """Yield rows of equity, key by key, each in the order of emission.

    Arguments and errors are those of `read_fills`; the instance ``*`` is the instrument's total.
    """
    for key, table in _tables(path, Wanted(Kind.EQUITY, symbols), instances, pending=pending):
        for batch in table.to_batches():
            yield from equity_of(key, batch)


def newest_equity(
    path: Path, symbols: Collection[str] | None = None, *, pending: bool = False
) -> dict[tuple[str, str], Equity]:
    """Return the newest row of each account by (key, instance).

    Only those rows become objects, however long the history is. Errors are those of `read_fills`.
    """
    newest: dict[tuple[str, str], Equity] = {}
    for key, table in _tables(path, Wanted(Kind.EQUITY, symbols), None, pending=pending):
        names = table.column("instance").to_numpy()[::-1]
        last = table.num_rows - 1 - np.unique(names, return_index=True)[1]
        for batch in table.take(pa.array(last)).to_batches():
            for row in equity_of(key, batch):
                newest[key, row.instance] = row
    return newest


def _tables(
    path: Path, wanted: Wanted, instances: Collection[str] | None, *, pending: bool
) -> Iterator[tuple[str, Table]]:
    logged = logged_parts(path, wanted) if pending else []  # before the files: see there
    seen: dict[str, int] = {}
    for part in sorted(find(path, wanted) + logged):
        table, key = _read(part), part.slot.key
        if key in seen and logged:  # in a log, and since then in a file
            table = table.filter(pc.greater(table.column("seq"), seen[key]))
        if table.num_rows:
            seen[key] = pc.max(table.column("seq")).as_py()
        if instances is not None:
            chosen = pa.array(sorted(instances), pa.string())
            table = table.filter(pc.is_in(table.column("instance"), chosen))
        if table.num_rows:
            yield key, table


def _read(part: Part) -> Table:
    table = decode(part.path) if part.rows is None else part.rows
    expected = SHAPES[part.slot.kind].schema
    if not table.schema.equals(expected):
        raise FileError(part.path, f"not what the lake stores as {part.slot.kind}")
    return table
