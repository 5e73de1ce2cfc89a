"""One connection to PostgreSQL that is opened again as often as it takes.

    rows ──COPY──► temporary table ──INSERT … ON CONFLICT──► table, all in one transaction

A row that is there already changes nothing if it came from a stream; one of the lake replaces it
where it differs, for the lake is the record.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import psycopg
from psycopg import sql

from core.exchange.backoff import Backoff
from core.market.errors import CryptoToolsError
from subscribers.entries import Missed
from subscribers.postgres.faults import Dsn, Verdict, is_refusal, judge
from subscribers.postgres.schema import Connection, prepare, primary_keys
from subscribers.postgres.tables import TABLES, Row, Table

LOG = logging.getLogger("cryptotools.subscribers")

T = TypeVar("T")

_CONNECT_S = 10
_WAIT_S = 0.5  # between two chances to say that one still works on it


class RowError(CryptoToolsError):
    """A row that PostgreSQL cannot hold."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return f"postgres cannot hold it: {self.why}"


class StoppedError(CryptoToolsError):
    """It was to stop while the database was away; nothing of the transaction is stored."""

    def __str__(self) -> str:
        return "stopped while the database was away"


class Database:
    """The tables of one schema.

    Args:
        dsn: Where.
        schema: Name of the schema.
        create: Whether tables may be made.
        wait: Waits so many seconds; returns whether it is to stop.

    Attributes:
        meanwhile: Called again and again while the database is away.

    """

    def __init__(
        self, dsn: Dsn, schema: str, *, create: bool, wait: Callable[[float], bool]
    ) -> None:
        self._dsn, self._schema, self._create, self._wait = dsn, schema, create, wait
        self._connection: Connection | None = None
        self._keys: dict[str, tuple[str, ...]] = {}
        self._staged: set[str] = set()
        self._backoff = Backoff(random.Random(), base=0.1, cap=10.0, stable=10.0)
        self._well_since = time.monotonic()
        self._away = self._served = False
        self.meanwhile: Callable[[], None] = lambda: None

    def open(self) -> None:
        """Connect and prepare the tables; waits for a server that is away.

        Raises:
            ServiceError: It refuses us, or the schema is of another version.
            StoppedError: It was to stop meanwhile.

        """
        self.within(lambda _: None)

    def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        self._staged.clear()
        if connection is not None:
            connection.close()

    def within(self, work: Callable[[Connection], T]) -> T:
        """Do something in one transaction, again from its beginning whenever the server goes away.

        Raises:
            RowError: A row cannot be stored; nothing is.
            ServiceError: The server refuses it for good.
            StoppedError: It was to stop meanwhile.

        """
        while True:
            try:
                connection = self._connected()
                with connection.transaction():
                    done = work(connection)
            except psycopg.Error as error:
                self._failed(error)
                continue
            if self._away:
                LOG.warning("postgres is back: %s", self._dsn)
                self._away, self._well_since = False, time.monotonic()
            return done

    def store(self, rows: Mapping[str, Sequence[Row]], missed: Iterable[Missed] = ()) -> int:
        """Store rows by kind of stream, and what was missed; return how many rows are new."""

        def work(connection: Connection) -> int:
            new = 0
            for kind in sorted(rows):
                new += self._copied(connection, TABLES[kind], rows[kind])
            for one in missed:
                connection.execute(
                    _MISSED, [one.name, one.after, one.before, one.count, one.reason]
                )
            return new

        return self.within(work)

    def stage(self, connection: Connection, table: Table) -> sql.Identifier:
        """Return the temporary table for rows of a table; it is empty at each transaction."""
        name = sql.Identifier("pg_temp", f"new_{table.name}")
        if table.name not in self._staged:
            connection.execute(
                sql.SQL(
                    "CREATE TEMP TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS"
                ).format(sql.Identifier(f"new_{table.name}"), self.table(table))
            )
            self._staged.add(table.name)
        return name

    def table(self, table: Table) -> sql.Identifier:
        """Return a table's full name."""
        return sql.Identifier(self._schema, table.name)

    def merge(self, connection: Connection, table: Table, *, replace: bool) -> int:
        """Move what is staged into its table; return how many rows are new or changed.

        Always in the order of the key, so that workers do not wait for each other in a circle.
        """
        key = [sql.Identifier(name) for name in self._keys[table.name]]
        values = [
            sql.SQL("trim_scale({})" if name in table.exact else "{}").format(sql.Identifier(name))
            for name in table.columns
        ]
        query = sql.SQL(
            "INSERT INTO {table} AS old ({columns}) SELECT DISTINCT ON ({key}) {values} "
            "FROM {stage} ORDER BY {key} ON CONFLICT {then}"
        ).format(
            table=self.table(table),
            columns=_list(map(sql.Identifier, table.columns)),
            key=_list(key),
            values=_list(values),
            stage=self.stage(connection, table),
            then=self._replacing(table, key) if replace else sql.SQL("DO NOTHING"),
        )
        return max(0, connection.execute(query).rowcount)

    def _replacing(self, table: Table, key: Sequence[sql.Identifier]) -> sql.Composed:
        rest = [name for name in table.columns if name not in self._keys[table.name]]
        own, new = ([sql.Identifier(of, name) for name in rest] for of in ("old", "excluded"))
        sets = (
            sql.SQL("{} = {}").format(sql.Identifier(name), value)
            for name, value in zip(rest, new, strict=True)
        )
        return sql.SQL("({}) DO UPDATE SET {} WHERE ROW ({}) IS DISTINCT FROM ROW ({})").format(
            _list(key), _list(sets), _list(own), _list(new)
        )

    def _copied(self, connection: Connection, table: Table, rows: Sequence[Row]) -> int:
        stage = self.stage(connection, table)
        columns = _list(map(sql.Identifier, table.columns))
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(stage, columns)
        with connection.cursor() as cursor, cursor.copy(into) as copy:
            for row in rows:
                copy.write_row(row)
        return self.merge(connection, table, replace=False)

    # ---- the connection ----

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = self._dial()
            try:
                steps = prepare(connection, self._schema, create=self._create)
                self._keys = primary_keys(connection, self._schema)
            except BaseException:
                connection.close()
                raise
            self._staged.clear()
            self._connection, self._served = connection, True
            if steps:
                LOG.info("made the tables of schema %s in %s", self._schema, self._dsn)
        return self._connection

    def _dial(self) -> Connection:
        connection = psycopg.connect(
            self._dsn.secret,
            autocommit=True,
            connect_timeout=_CONNECT_S,
            application_name="cryptotools",
            prepare_threshold=None,
        )
        # An entry is acknowledged after COMMIT: that must mean that it is on the disk.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        return connection

    def _failed(self, error: psycopg.Error) -> None:
        self._staged.clear()  # what the transaction made went with it
        verdict = judge(error)
        if verdict is Verdict.ROW:
            raise RowError(self._dsn.told(error)) from None
        if verdict is Verdict.FATAL or (not self._served and is_refusal(error)):
            hint = "check the user, the password and the rights of --dsn"
            raise self._dsn.fault(error, hint) from None
        if self._connection is not None and self._connection.closed:
            self.close()
        elif isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            self.close()  # another server may have taken over
        if not self._away:
            LOG.warning("postgres is away, rows wait: %s", self._dsn.told(error))
        lived = 0.0 if self._away else time.monotonic() - self._well_since
        self._away = True
        self._pause(self._backoff.lost(lived=lived))

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            self.meanwhile()
            if self._wait(max(0.0, min(_WAIT_S, until - time.monotonic()))):
                raise StoppedError
            if time.monotonic() >= until:
                return


_MISSED = """
INSERT INTO missed (stream, after_id, before_id, entries, reason) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
