"""From streams to the database: an entry is acknowledged once its row is committed.

    consumer ──► rows ──► one transaction ──► ack
        └── Missed ──► noted, then loaded from the lake

Killed at any point, it does some of this again, which changes nothing.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connectors.redis.keys import parse_key
from core.market.errors import ConfigError, WireError
from subscribers.consumer import Consumer
from subscribers.entries import Batch, Delivery, Missed, order
from subscribers.postgres.database import Database, RowError, StoppedError
from subscribers.postgres.lake import Lake
from subscribers.postgres.schema import Connection
from subscribers.postgres.tables import TABLES, Row

LOG = logging.getLogger("cryptotools.subscribers")

_POLL_S = 0.5
_TRIES = 30  # times that the lake is asked for what is missing


@dataclass(slots=True)
class Progress:
    """How it goes.

    Attributes:
        rows: Entries stored.
        new: Rows of them that the database did not have.
        given_up: Entries that can be no rows.
        entries: Entries still to come; None: not known now.
        seconds: How far behind the newest they are, at most.

    """

    rows: int = 0
    new: int = 0
    given_up: int = 0
    entries: int | None = None
    seconds: float = 0.0


class Worker:
    """One worker; several share a group.

    Args:
        consumer: Of the group, without a bound of deliveries: a database that is away is no fault
            of an entry.
        database: Where rows go.
        lake: Where what Redis no longer has is taken from; None: nowhere.
        told: Told how it goes every `every` seconds.
        every: Seconds.

    """

    def __init__(
        self,
        consumer: Consumer,
        database: Database,
        lake: Lake | None = None,
        told: Callable[[Progress], None] = lambda _: None,
        every: float = 10.0,
    ) -> None:
        self._consumer, self._database, self._lake = consumer, database, lake
        self._told, self._every = told, every
        self._told_at = time.monotonic() + every
        self._open: dict[
            Missed, int
        ] = {}  # what the lake has not given, and how often it was asked
        self.progress = Progress()

    def run(self, *, once: bool = False) -> Progress:
        """Store what comes until the consumer is stopped, or, with `once`, until nothing is left.

        Raises:
            ServiceError: Redis or the database refuses us for good.

        """
        while True:
            batch = self._consumer.poll(_POLL_S)
            if batch is not None:
                self._take(batch)
            self._tell()
            if self._consumer.is_stopping or (batch is None and once and self._is_drained()):
                return self.progress

    def _take(self, batch: Batch) -> None:
        self._database.meanwhile = batch.extend
        try:
            if batch.missed:
                self._database.store({}, batch.missed)
            self._store(batch, self._rows(batch))
        except StoppedError as error:
            LOG.warning("%s: %d entries come again", error, len(batch))
            return
        finally:
            self._database.meanwhile = lambda: None
        batch.ack()
        for missed in batch.missed:
            self._fill(missed, 0)

    def _store(self, batch: Batch, rows: Sequence[tuple[Delivery, Row]]) -> None:
        by_kind: dict[str, list[Row]] = {}
        for delivery, row in rows:
            by_kind.setdefault(delivery.kind, []).append(row)
        try:
            self.progress.new += self._database.store(by_kind)
        except RowError as error:
            if len(rows) == 1:
                self._give_up(batch, rows[0][0], str(error))
                return
            # One of them: looked for by halves.
            middle = len(rows) // 2
            self._store(batch, rows[:middle])
            self._store(batch, rows[middle:])
        else:
            self.progress.rows += len(rows)

    def _rows(self, batch: Batch) -> list[tuple[Delivery, Row]]:
        rows: list[tuple[Delivery, Row]] = []
        for delivery in batch.entries:
            try:
                rows.append((delivery, TABLES[delivery.kind].row(delivery)))
            except WireError as error:
                self._give_up(batch, delivery, str(error))
        return rows

    def _give_up(self, batch: Batch, delivery: Delivery, why: str) -> None:
        batch.bury(delivery, why)
        self.progress.given_up += 1

    def _fill(self, missed: Missed, tries: int) -> None:
        if self._lake is None:
            return
        self._open.pop(missed, None)
        stream = parse_key(missed.name)
        if stream is None:
            return
        try:
            self._lake.load(stream.kind, stream.key)
            if self._database.within(lambda connection: _is_filled(connection, missed)):
                LOG.info("the lake had the entries of %s above %s", missed.name, missed.after)
                return
        except StoppedError:
            return
        if not tries:
            LOG.warning("the lake does not have all of %s above %s yet", missed.name, missed.after)
        if tries < _TRIES and missed.count is not None:
            self._open[missed] = tries + 1

    def _is_drained(self) -> bool:
        lags = self._consumer.lag_if_known()
        return lags is not None and not any(lag.entries or lag.pending for lag in lags)

    def _tell(self) -> None:
        if time.monotonic() < self._told_at:
            return
        self._told_at = time.monotonic() + self._every
        for missed, tries in list(self._open.items()):
            self._fill(missed, tries)
        lags = self._consumer.lag_if_known()
        self.progress.entries = None if lags is None else sum(lag.entries for lag in lags)
        self.progress.seconds = max((lag.seconds for lag in lags or ()), default=0.0)
        self._told(self.progress)


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise `ConfigError` where there is no table for a kind."""
    for kind in kinds:
        if kind not in TABLES:
            known = " ".join(TABLES)
            raise ConfigError("--kind", f"there is no table for `{kind}`", hint=f"one of {known}")


def _is_filled(connection: Connection, missed: Missed) -> bool:
    # Numbers rise within a stream, but for events: there each lane has its own.
    stream = parse_key(missed.name)
    if stream is None or missed.count is None or stream.kind == "event":
        return False
    table = TABLES[stream.kind]
    column = "id" if stream.kind == "trade" else "seq"
    query = f"SELECT count(*) FROM {table.name} WHERE key = %s AND {column} > %s AND {column} < %s"
    values: list[object] = [stream.key, order(missed.after)[1], order(missed.before)[1]]
    if stream.interval:
        query += " AND interval = %s"
        values.append(stream.interval)
    row = connection.execute(query.encode(), values).fetchone()
    if row is None or int(row[0]) < missed.count:
        return False
    where = [missed.name, missed.after, missed.before]
    connection.execute(_FILLED, where)
    return True


_FILLED = """
UPDATE missed SET filled_at = now() WHERE stream = %s AND after_id = %s AND before_id = %s
"""
