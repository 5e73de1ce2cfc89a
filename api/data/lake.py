"""The first rows of a lake that answer a query: from its files and from the logs of its writers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from api.data.entries import KEY
from api.data.query import SOURCE, Query, top
from api.data.shapes import TRADES
from connectors.parquet.layout import Part
from connectors.parquet.shelf import Shelf, look, tables
from connectors.parquet.tables import Table
from core.market.errors import FileError

_TRIES = 10


def lake_rows(root: Path, query: Query, count: int) -> tuple[bool, Table | None]:
    """Return whether there is a lake, and up to `count` rows, in order; it blocks.

    Raises:
        FileError: A file is broken, or changes all the time.

    """
    for _ in range(_TRIES):
        try:
            shelf = look(root, query.wanted)
            return shelf is not None, None if shelf is None else _first(shelf, query, count)
        except FileNotFoundError:  # a writer made one file of several meanwhile
            continue
    raise FileError(root, "its files change all the time")


def _first(shelf: Shelf, query: Query, count: int) -> Table | None:
    found: Table | None = None
    for day in shelf.days(descending=query.descending):
        pieces = _pieces(shelf.parts(day), query)
        if query.shape is TRADES:
            found = _in_turn(found, pieces, query, count)
        else:
            for piece in pieces:
                found = _merged(found, piece, query, count)
        if found is not None and found.num_rows >= count:
            return found
    return found


def _in_turn(
    found: Table | None, pieces: Iterator[Table], query: Query, count: int
) -> Table | None:
    # Parts of trades come in the order of their ids; only rows in a log may be in a file as well.
    for piece in pieces:
        if found is not None and found.num_rows >= count and _is_behind(found, piece, query):
            return found
        found = _merged(found, piece, query, count)
    return found


def _is_behind(found: Table, piece: Table, query: Query) -> bool:
    last, ids = int(found.column("id")[-1].as_py()), piece.column("id").to_numpy()
    if not len(ids):
        return True
    return bool(np.max(ids) < last if query.descending else np.min(ids) > last)


def _merged(found: Table | None, piece: Table, query: Query, count: int) -> Table | None:
    return top([piece] if found is None else [found, piece], query, count)


def _pieces(parts: list[Part], query: Query) -> Iterator[Table]:
    for part in reversed(parts) if query.descending else parts:
        for table in tables(part, query.bounds, descending=query.descending):
            rows = table.num_rows
            own = table.append_column(KEY, pa.repeat(pa.scalar(part.slot.key), rows))
            source = pa.repeat(pa.scalar(0 if part.rows is None else 1, pa.int8()), rows)
            yield own.append_column(SOURCE, source)
