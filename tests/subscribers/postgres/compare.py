"""A database against a lake: every row of every table, by value."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

from connectors.parquet.layout import Kind, Wanted, find
from subscribers.postgres.tables import TABLES, Table
from subscribers.typed import lane_of

Rows = dict[tuple[Any, ...], dict[str, Any]]


def of_lake(lake: Path, table: Table, *, but: tuple[str, ...] = ()) -> Rows:
    """Return the lake's rows by key."""
    rows: Rows = {}
    for part in find(lake, Wanted(table.lake)):
        for row in pq.ParquetFile(part.path).read().to_pylist():
            row["key"] = part.slot.key
            if table.lake is Kind.EVENTS:
                row["lane"] = lane_of(row["kind"])
            _put(rows, table, row, but)
    return rows


def of_database(dsn: str, table: Table, *, but: tuple[str, ...] = ()) -> Rows:
    """Return the database's rows by key."""
    rows: Rows = {}
    with psycopg.connect(dsn) as connection:
        names = ", ".join(f'"{name}"' for name in table.columns)
        found = connection.execute(f"SELECT {names} FROM cryptotools.{table.name}".encode())
        for values in found.fetchall():
            _put(rows, table, dict(zip(table.columns, values, strict=True)), but)
    return rows


def counts(dsn: str, lake: Path, kinds: tuple[str, ...]) -> dict[str, int]:
    """Compare all rows of these kinds; return how many there are of each."""
    found: dict[str, int] = {}
    for kind in kinds:
        table = TABLES[kind]
        but = ("repaired",) if kind == "trade" else ()  # Redis does not tell
        expected, stored = of_lake(lake, table, but=but), of_database(dsn, table, but=but)
        assert stored.keys() == expected.keys(), (kind, len(stored), len(expected))
        assert stored == expected, kind
        found[table.name] = len(stored)
    return found


def _put(rows: Rows, table: Table, row: dict[str, Any], but: tuple[str, ...]) -> None:
    plain = {name: _plain(name, row.get(name)) for name in table.columns if name not in but}
    key = tuple(plain.get(name) for name in ("key", "interval", "lane", "seq", "id"))
    assert key not in rows, f"{table.name} has {key} twice"
    rows[key] = plain


def _plain(name: str, value: Any) -> Any:  # noqa: ANN401 - any column
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if name in {"detail", "psi"} or (name == "values" and isinstance(value, str)):
        return json.loads(value) if isinstance(value, str) else value
    return value
