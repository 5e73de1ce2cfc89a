"""The tables, made and brought up to date: each step once, whoever comes first."""

from importlib.resources import files
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from core.market.errors import ServiceError

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_LOCK = 0x63727970746F  # one process at a time; any number that nobody else takes


def steps() -> dict[int, str]:
    """Return the statements of each version, in order."""
    folder = files("subscribers.postgres").joinpath("migrations")
    found = {
        int(file.name.removesuffix(".sql")): file.read_text("utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
    return dict(sorted(found.items()))


def prepare(connection: Connection, schema: str, *, create: bool) -> int:
    """Bring the schema to the newest version, or check that it is; return how many steps it took.

    Args:
        connection: Not in a transaction; tables are found by their names afterwards.
        schema: Name of the schema.
        create: Whether anything may be made.

    Raises:
        ServiceError: It is older and may not be changed, or newer than this program.

    """
    name = sql.Identifier(schema)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if create and not _exists(connection, schema):
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        connection.execute(sql.SQL("SET search_path TO {}").format(name))
        found, known = _version(connection, schema, create=create), steps()
        newest = max(known)
        if found > newest:
            why = f"schema `{schema}` is of version {found}, this program knows {newest}"
            raise ServiceError("postgres", why, hint="use the newer version of this program")
        if found < newest and not create:
            why = f"schema `{schema}` is of version {found}, version {newest} is needed"
            raise ServiceError("postgres", why, hint="run once with --create")
        missing = [number for number in known if number > found]
        for number in missing:
            connection.execute(known[number].encode())  # several statements: no parameters
            connection.execute("INSERT INTO schema_version (version) VALUES (%s)", [number])
    return len(missing)


def primary_keys(connection: Connection, schema: str) -> dict[str, tuple[str, ...]]:
    """Return the columns of each table's primary key: its owner may have widened it."""
    rows = connection.execute(
        """
        SELECT t.relname, array_agg(a.attname::text ORDER BY k.place)
        FROM pg_index i
        JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_namespace n ON n.oid = t.relnamespace
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number
        WHERE i.indisprimary AND n.nspname = %s
        GROUP BY t.relname
        """,
        [schema],
    ).fetchall()
    return {str(name): tuple(columns) for name, columns in rows}


def _exists(connection: Connection, schema: str) -> bool:
    return _one(connection, "SELECT count(*) FROM pg_namespace WHERE nspname = %s", [schema]) > 0


def _version(connection: Connection, schema: str, *, create: bool) -> int:
    where = "SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename = 'schema_version'"
    if not _one(connection, where, [schema]):
        if create:
            connection.execute(
                "CREATE TABLE schema_version (version integer PRIMARY KEY, "
                "applied_at timestamptz NOT NULL DEFAULT now())"
            )
        return 0
    return _one(connection, "SELECT coalesce(max(version), 0) FROM schema_version", [])


def _one(connection: Connection, query: str, values: list[object]) -> int:
    row = connection.execute(query.encode(), values).fetchone()
    return int(row[0]) if row else 0
