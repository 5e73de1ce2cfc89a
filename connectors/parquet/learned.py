"""Reads the records of models back from the lake: rows of features, predictions."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.parquet.encoding import BROKEN, unreadable
from connectors.parquet.layout import Kind, Part, Wanted, find
from connectors.parquet.open_rows import logged_parts
from connectors.parquet.tables import SHAPES, Batch, features_of, predictions_of
from core.market.errors import FileError
from core.market.ml import FeatureRow, Prediction

Record = TypeVar("Record", FeatureRow, Prediction)

_ROWS = 1 << 14


def read_features(
    path: Path,
    features: str,
    symbols: Collection[str] | None = None,
    *,
    pending: bool = False,
) -> Iterator[FeatureRow]:
    """Yield the rows of a set of features, key by key, each in the order of emission.

    Args:
        path: The lake, any folder of it, or one file.
        features: Name of the set.
        symbols: Symbols (``BTCUSDT``) or keys (``binance:BTCUSDT``); None for all.
        pending: Whether to read the rows that are in no file yet, too.

    Raises:
        FileError: A file is not of a lake or broken, or there is no such path.

    """
    for row in _read(path, Wanted(Kind.FEATURES, symbols), features_of, pending=pending):
        if row.features == features:
            yield row


def read_predictions(
    path: Path, symbols: Collection[str] | None = None, *, pending: bool = False
) -> Iterator[Prediction]:
    """Yield predictions, key by key, each in the order of emission; the rest as above."""
    yield from _read(path, Wanted(Kind.PREDICTIONS, symbols), predictions_of, pending=pending)


def _read(
    path: Path,
    wanted: Wanted,
    made: Callable[[str, Batch], Iterator[Record]],
    *,
    pending: bool,
) -> Iterator[Record]:
    logged = logged_parts(path, wanted) if pending else []  # before the files: see there
    last: dict[object, int] = {}
    for part in sorted(find(path, wanted) + logged):
        slot = part.slot
        for batch in _batches(part):
            for record in made(slot.key, batch):
                # What is in a log may since then be in a file as well.
                if record.seq > last.get(slot, -1):
                    last[slot] = record.seq
                    yield record


def _batches(part: Part) -> Iterator[Batch]:
    if part.rows is not None:
        yield from part.rows.to_batches(_ROWS)
        return
    try:
        with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
            _check(part, file.schema_arrow)
            yield from file.iter_batches(_ROWS, use_threads=False)
    except BROKEN as error:
        raise unreadable(part.path, error) from error


def _check(part: Part, schema: pa.Schema) -> None:
    expected = SHAPES[part.slot.kind].schema
    if schema.names != expected.names:
        why = f"not what the lake stores: its columns are {' '.join(schema.names)}"
        raise FileError(part.path, why)
