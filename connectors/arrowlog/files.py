"""Files made since a snapshot, cut back to it; and where a writer's logs are."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.arrowlog.state import Closing
from connectors.durable import explain, publish, sync_folder
from core.market.errors import FileError

LOGS = ".log"
"""Folder of the logs, below the writer's own; hidden, so that no reader takes it for data."""


def log_folder(root: Path, writer: str) -> Path:
    """Return the folder of a writer's log."""
    return root / LOGS / writer


def cut_back(
    root: Path, closing: Closing, rows: int, encoded: Callable[[], memoryview], *, service: str
) -> None:
    """Make a file hold only the `rows` that were pending at the snapshot; none: remove it.

    A file that has other rows than it was made of is not touched: somebody else (a repair of old
    data) has added to it. A run that stopped cleanly made its files at the snapshot itself, so
    these stay as they are.

    Raises:
        FileError: It cannot be read.
        ServiceError: It cannot be written.

    """
    path = root / closing.path
    if not path.exists() or closing.rows == rows or rows_of(path) != closing.rows:
        return
    if rows:
        publish(path, encoded(), service=service)
        return
    try:
        path.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise explain(path, error, service) from error


def rows_of(path: Path) -> int:
    """Return the number of rows in a Parquet file, or raise `FileError`."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        why = (str(error) or repr(error)).splitlines()[0]
        raise FileError(path, f"not a readable Parquet file ({why})") from error
