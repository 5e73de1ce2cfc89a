"""Loads what the lake holds: files that are new or changed since, and the rows in its logs.

A file is loaded in one transaction together with the note that it is, so a load that was cut off
goes on where it was.
"""

import io
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from psycopg import sql

from connectors.parquet.encoding import BROKEN, unreadable
from connectors.parquet.layout import Kind, Part, Wanted, find
from connectors.parquet.open_rows import logged_parts
from subscribers.postgres.database import Database
from subscribers.postgres.schema import Connection
from subscribers.postgres.tables import TABLES, Table, array, clean_json
from subscribers.typed import lane_of

LOG = logging.getLogger("cryptotools.subscribers")

_ROWS = 1 << 16
_JSON = {"values", "detail", "psi"}

Told = Callable[[int, int, int], None]
"""Told (files done, files in all, rows) as it goes."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did.

    Attributes:
        files: Files that were read.
        rows: Rows that were read.
        changed: Rows that are new in the database, or were different.

    """

    files: int = 0
    rows: int = 0
    changed: int = 0

    def plus(self, rows: int, changed: int) -> "Loaded":
        """Return it with another file."""
        return Loaded(self.files + 1, self.rows + rows, self.changed + changed)


class Lake:
    """A lake to load from.

    Args:
        path: The lake.
        database: Where to.
        kinds: Kinds of streams.
        symbols: Symbols or keys; empty: all.
        intervals: Intervals of klines; empty: all.
        stopping: Whether to end early.

    """

    def __init__(
        self,
        path: Path,
        database: Database,
        kinds: Collection[str],
        symbols: Collection[str] = (),
        intervals: Collection[str] = (),
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path, self._database, self._stopping = path, database, stopping
        self._tables = [TABLES[kind] for kind in kinds if kind in TABLES]
        self._symbols, self._intervals = frozenset(symbols), frozenset(intervals)

    def load(self, kind: str = "", key: str = "", told: Told | None = None) -> Loaded:
        """Load what is not loaded yet: all of it, or what one kind and key have.

        Raises:
            FileError: A file is broken, or there is no lake.
            ServiceError: The database refuses it.

        """
        done = Loaded()
        tables = [table for table in self._tables if kind in {"", table.kind}]
        parts = [(table, part) for table in tables for part in self._parts(table, key)]
        known = self._known()
        for n, (table, part) in enumerate(parts):
            if self._stopping():
                break
            if part.rows is not None or known.get(_place(part)) != _state(part):
                done = done.plus(*self._load(table, part))
            if told is not None:
                told(n + 1, len(parts), done.rows)
        return done

    def _parts(self, table: Table, key: str) -> list[Part]:
        symbols = {key} if key else set(self._symbols) or None
        intervals = set(self._intervals) or None if table.lake is Kind.KLINES else None
        wanted = Wanted(table.lake, symbols, intervals=intervals)
        logged = logged_parts(self._path, wanted)  # before the files: see there
        return sorted(find(self._path, wanted) + logged)

    def _known(self) -> dict[str, tuple[int, int]]:
        def work(connection: Connection) -> dict[str, tuple[int, int]]:
            rows = connection.execute("SELECT path, size, changed_ns FROM lake_files").fetchall()
            return {str(path): (int(size), int(at)) for path, size, at in rows}

        return self._database.within(work)

    def _load(self, table: Table, part: Part) -> tuple[int, int]:
        def work(connection: Connection) -> tuple[int, int]:
            state = _state(part) if part.rows is None else None
            rows = self._copy(connection, table, part)
            changed = self._database.merge(connection, table, replace=True) if rows else 0
            if state is not None:
                connection.execute(_LOADED, [_place(part), *state, rows])
            return rows, changed

        try:
            return self._database.within(work)
        except FileNotFoundError:
            LOG.info("%s is gone: another file has its rows", part.path)
            return 0, 0

    def _copy(self, connection: Connection, table: Table, part: Part) -> int:
        stage, rows = self._database.stage(connection, table), 0
        for batch in _batches(part):
            columns, data = csv_of(table, part.slot.key, batch)
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(stage, names)
            with connection.cursor() as cursor, cursor.copy(into) as copy:
                copy.write(data)
            rows += batch.num_rows
        return rows


def csv_of(table: Table, key: str, rows: Any) -> tuple[list[str], bytes]:  # noqa: ANN401 - pyarrow ships no types
    """Return stored rows as CSV that COPY takes, and the names of its columns.

    Numbers are written as text, exactly; what is null has no quotes.
    """
    columns = {name: _plain(name, rows.column(name)) for name in rows.schema.names}
    columns["key"] = pa.array([key] * rows.num_rows, pa.string())
    if "lane" in table.columns:
        columns["lane"] = pa.array([lane_of(kind) for kind in columns["kind"].to_pylist()])
    names = [name for name in table.columns if name in columns]
    out = io.BytesIO()
    plain = pa.table([columns[name] for name in names], names)
    pyarrow.csv.write_csv(plain, out, pyarrow.csv.WriteOptions(include_header=False))
    return names, out.getvalue()


def _plain(name: str, column: Any) -> Any:  # noqa: ANN401 - pyarrow ships no types
    if pa.types.is_list(column.type):
        return pa.array([array(values) for values in column.to_pylist()], pa.string())
    if not pa.types.is_string(column.type):
        return column
    if name in _JSON:
        return pa.array([clean_json(text) for text in column.to_pylist()], pa.string())
    return pc.replace_substring(column, "\x00", "\ufffd")


def _batches(part: Part) -> Iterator[Any]:
    if part.rows is not None:
        yield from part.rows.to_batches(_ROWS)
        return
    try:
        with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
            yield from file.iter_batches(_ROWS, use_threads=False)
    except FileNotFoundError:
        raise
    except BROKEN as error:
        raise unreadable(part.path, error) from error


def _place(part: Part) -> str:
    # From its kind on: the lake may be moved.
    names = part.path.parts
    first = max(n for n, name in enumerate(names) if name.startswith("exchange="))
    return "/".join(names[first - 1 :])


def _state(part: Part) -> tuple[int, int]:
    found = part.path.stat()
    return found.st_size, found.st_mtime_ns


_LOADED = """
INSERT INTO lake_files (path, size, changed_ns, rows) VALUES (%s, %s, %s, %s)
ON CONFLICT (path) DO UPDATE
SET size = excluded.size, changed_ns = excluded.changed_ns, rows = excluded.rows, loaded_at = now()
"""
