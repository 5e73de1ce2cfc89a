"""The database worker against a real Redis, a real PostgreSQL and a real lake."""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import redis
import typer
from typer.testing import CliRunner, Result

from cli.commands import replay, sink
from connectors.redis.config import RedisConfig
from connectors.redis.embedded import ensure, stop
from connectors.redis.keys import stream_key
from connectors.redis.writer import Writer
from core.market.errors import ConfigError, ServiceError
from core.market.events import Gap, Late, Quarantined
from core.market.trades import Trades
from subscribers.consumer import Consumer
from subscribers.dead import dead_entries
from subscribers.postgres.database import Database
from subscribers.postgres.faults import Dsn
from subscribers.postgres.lake import Lake
from subscribers.postgres.tables import TABLES
from subscribers.postgres.worker import Worker
from tests.subscribers.postgres.compare import counts, of_database
from tests.subscribers.postgres.server import Postgres

Client: TypeAlias = Any
"""redis-py's: its answers have no usable types."""

KEY = "binance:BTCUSDT"
STREAM = stream_key(KEY, "trade")
KINDS = ("trade", "kline", "signal", "fill", "equity", "event")
"""What the replay gives; events there are none of."""
CONFIG = """
strategies = [
  { name = "bollinger_breakout", params = { period = 3, width = 0.5 } },
  { name = "macd_cross", params = { fast = 2, slow = 4, signal = 2 } },
]
"""


def cli(folder: Path, *options: str, env: dict[str, str] | None = None) -> Result:
    app = typer.Typer()
    for module in (replay, sink):
        module.register(app)
    clean: dict[str, Any] = {
        k: None for k in os.environ if k.startswith(("CRYPTOTOOLS", "REDIS", "POSTGRES"))
    }
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        # Logging and signals of this process are the tests'.
        patch.setattr("telemetry.log.configure", lambda *_args, **_more: None)
        patch.setattr(replay, "stop_on_signals", lambda: None)
        return CliRunner().invoke(app, options, env=clean | (env or {}))


def archive(symbol: str) -> str:
    rows = []
    for n in range(1, 150):
        price = 100 + (n * 7919 * len(symbol)) % 97 / 4
        at_us = 1_738_281_600_000_000 + n * 20_000_000
        rows.append(f"{n},{price:.2f},0.5,50.25,{at_us},{n % 2 == 0},True\n")
    return "".join(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lake and a Redis that one replay of two symbols filled."""
    found = tmp_path_factory.mktemp("replayed")
    names = []
    for symbol in ("BTCUSDT", "ETHBTC"):
        names.append(f"{symbol}-trades-2025-01-31.csv")
        (found / names[-1]).write_text(archive(symbol))
    (found / "cryptotools.toml").write_text(CONFIG)
    server = ensure(found / "state" / "redis")
    done = cli(found, "replay", *names, "--lake", "lake", "--redis", server.url, "--json")
    assert done.exit_code == 0, done.output
    yield found
    stop(found / "state" / "redis")


@pytest.fixture(scope="module")
def url(folder: Path) -> str:
    return ensure(folder / "state" / "redis").url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """The replay's Redis as it was filled, whatever a test does to it."""
    found: Client
    with redis.Redis.from_url(url, protocol=2) as found:
        kept = {name: found.dump(name) for name in found.keys("md:*")}
        yield found
        found.flushall()
        for name, value in kept.items():
            found.restore(name, 0, value)
        for name in found.scan_iter("md:{*", _type="stream"):
            for group in found.xinfo_groups(name):
                found.xgroup_destroy(name, group["name"])


@pytest.fixture
def worker(url: str, client: Client, database: Database) -> Iterator[Callable[..., Worker]]:
    """Make workers of one group."""
    made: list[Consumer] = []

    def make(name: str = "w", lake: Path | None = None, **options: Any) -> Worker:  # noqa: ANN401 - a consumer's
        consumer = Consumer(
            url,
            "db",
            name=name,
            max_deliveries=0,
            min_idle=options.pop("min_idle", 20.0),
            **options,
        )
        made.append(consumer)
        found = None if lake is None else Lake(lake, database, tuple(TABLES))
        return Worker(consumer, database, found, every=0.2)

    yield make
    for one in made:
        one.close()


def plain(rows: Any) -> list[tuple[str, dict[Any, Any]]]:  # noqa: ANN401 - a client that decodes nothing
    return [
        (row_id.decode(), {k.decode(): v.decode() for k, v in fields.items()})
        for row_id, fields in rows
    ]


def sink_to(folder: Path, dsn: str, *options: str) -> Result:
    return cli(folder, "sink", "postgres", "--once", *options, env={"POSTGRES_DSN": dsn})


def test_the_database_holds_exactly_the_rows_of_the_lake(
    folder: Path, fresh: Postgres, client: Client
) -> None:
    done = sink_to(folder, fresh.dsn, "--batch", "197")
    assert done.exit_code == 0, done.output
    found = counts(fresh.dsn, folder / "lake", KINDS)
    assert found["trades"] == 2 * 149
    assert all(found[name] > 10 for name in ("klines", "signals", "fills", "equity"))
    again = sink_to(folder, fresh.dsn, "--group", "another")
    assert "0 of them new" in again.output
    assert counts(fresh.dsn, folder / "lake", KINDS) == found


def test_a_backfill_alone_gives_the_same_rows_and_is_not_done_twice(
    folder: Path, fresh: Postgres, client: Client
) -> None:
    client.flushall()
    done = sink_to(folder, fresh.dsn, "--backfill", "lake")
    assert done.exit_code == 0, done.output
    found = counts(fresh.dsn, folder / "lake", KINDS)
    assert found["trades"] == 2 * 149
    repaired = fresh.rows("SELECT DISTINCT repaired FROM cryptotools.trades")
    assert repaired == [(False,)]
    again = sink_to(folder, fresh.dsn, "--backfill", "lake")
    assert "lake: 0 files, 0 rows read" in again.output


def test_a_load_that_was_cut_off_goes_on_where_it_was(
    folder: Path, database: Database, fresh: Postgres
) -> None:
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    kinds = tuple(TABLES)
    first = Lake(folder / "lake", database, kinds, stopping=stopping).load()
    rest = Lake(folder / "lake", database, kinds).load()
    assert first.files == 3
    assert rest.files == len(list((folder / "lake").rglob("part-*.parquet"))) - 3
    counts(fresh.dsn, folder / "lake", KINDS)


def test_rows_of_the_lake_replace_what_differs_and_nothing_else(
    folder: Path, database: Database, fresh: Postgres
) -> None:
    lake = Lake(folder / "lake", database, tuple(TABLES))
    rows = lake.load().rows
    fresh.do("UPDATE cryptotools.trades SET price = 1 WHERE id = 7")
    fresh.do("DELETE FROM cryptotools.lake_files")
    again = lake.load()
    assert (again.rows, again.changed) == (rows, 2)
    counts(fresh.dsn, folder / "lake", KINDS)


def test_workers_of_a_group_share_the_work(
    folder: Path, worker: Callable[..., Worker], fresh: Postgres, url: str
) -> None:
    databases = [
        Database(Dsn(fresh.dsn), "cryptotools", create=True, wait=lambda _: False) for _ in range(3)
    ]
    workers = [worker(f"w{n}", batch=100) for n in range(3)]
    for one, database in zip(workers, databases, strict=True):
        one._database = database
    threads = [threading.Thread(target=one.run, kwargs={"once": True}) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for database in databases:
        database.close()
    assert sum(one.progress.new for one in workers) == sum(
        counts(fresh.dsn, folder / "lake", KINDS).values()
    )
    assert len([one for one in workers if one.progress.rows]) > 1


def test_what_redis_lost_is_noted_and_taken_from_the_lake(
    folder: Path, worker: Callable[..., Worker], client: Client, fresh: Postgres
) -> None:
    one = worker(lake=folder / "lake", batch=200)
    one._consumer.join()
    client.xtrim(STREAM, maxlen=100, approximate=False)
    one.run(once=True)
    counts(fresh.dsn, folder / "lake", KINDS)
    rows = fresh.rows("SELECT stream, entries, filled_at IS NOT NULL FROM cryptotools.missed")
    assert rows == [(STREAM, 49, True)]


def test_what_the_lake_does_not_have_either_stays_open(
    folder: Path,
    worker: Callable[..., Worker],
    client: Client,
    fresh: Postgres,
    tmp_path: Path,
) -> None:  # fmt: skip
    shutil.copytree(folder / "lake" / "klines", tmp_path / "lake" / "klines")
    one = worker(lake=tmp_path / "lake")
    one._consumer.join()
    client.xtrim(STREAM, maxlen=100, approximate=False)
    one.run(once=True)
    rows = fresh.rows("SELECT entries, filled_at FROM cryptotools.missed")
    assert rows == [(49, None)]
    # It comes later: then it is filled without being asked for again.
    shutil.copytree(folder / "lake" / "trades", tmp_path / "lake" / "trades")
    thread = threading.Thread(target=one.run)
    thread.start()
    end = time.monotonic() + 20
    query = "SELECT count(*) FROM cryptotools.missed WHERE filled_at IS NOT NULL"
    while time.monotonic() < end and fresh.rows(query) == [(0,)]:
        time.sleep(0.02)
    one._consumer.stop()
    thread.join(20)
    assert fresh.rows(query) == [(1,)]
    counts(fresh.dsn, folder / "lake", KINDS)


def test_an_entry_that_cannot_be_a_row_is_given_up_and_the_others_are_stored(
    worker: Callable[..., Worker], client: Client, fresh: Postgres
) -> None:
    client.flushall()
    good: dict[str, str] = {"time_us": "5", "price": "1.5", "quantity": "2", "taker": "buy"}
    for n in range(1, 40):
        own = {"price": "x"} if n == 13 else {}
        client.xadd(STREAM, {"id": str(n), **good, **own}, id=f"{n}-{n}")
    client.xadd(STREAM, {"id": "40"}, id="40-40")
    client.xadd(STREAM, {"id": str(1 << 70), **good}, id="41-41")
    one = worker()
    progress = one.run(once=True)
    assert (progress.rows, progress.given_up) == (38, 3)
    ids = fresh.rows("SELECT id FROM cryptotools.trades ORDER BY id")
    assert [i for (i,) in ids] == [n for n in range(1, 40) if n != 13]
    reasons = [dead.reason for dead in dead_entries(one._consumer._link)]
    assert len(reasons) == 3
    assert any("lacks the field 'time_us'" in reason for reason in reasons)


def test_amounts_times_and_texts_are_exact(
    worker: Callable[..., Worker], client: Client, fresh: Postgres, url: str
) -> None:
    client.flushall()
    out = Writer(RedisConfig(url=url))
    ids = np.array([9_007_199_254_740_993], np.int64)
    time_us = np.array([1_723_161_600_000_001], np.int64)
    units = np.array([999_999_999_999_999_999], np.int64)
    out.publish(
        [
            Trades(KEY, 9, 9, ids, time_us, units, units, ids == 0),
            Gap(KEY, 1_723_161_600_000_003, 7, 3, 4, "nul \x00 and \u20bf"),
            Late(KEY, 1_723_161_600_000_003, 7, 5, 6),  # the same number in another lane
            Quarantined(KEY, 5, 9, "bad", "link 1", '{"a": "\x00\\u0000"}'),
        ]
    )
    out.close()
    worker().run(once=True)
    (row,) = of_database(fresh.dsn, TABLES["trade"]).values()
    assert (row["id"], row["price"]) == (int(ids[0]), Decimal("999999999.999999999"))
    assert row["time"].microsecond == 1
    events = of_database(fresh.dsn, TABLES["event"])
    assert [(r["lane"], r["seq"], r["detail"]) for _, r in sorted(events.items())] == [
        ("", 7, {"first_id": 3, "last_id": 4, "reason": "nul \ufffd and \u20bf"}),
        ("klines", 7, {"trade_id": 5, "trade_us": 6}),
    ]
    (bad,) = of_database(fresh.dsn, TABLES["quarantine"]).values()
    assert bad["payload"] == '{"a": "\ufffd\\u0000"}'


def test_a_database_that_is_killed_is_waited_for(
    folder: Path, worker: Callable[..., Worker], fresh: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    one = worker(batch=100)
    thread = threading.Thread(target=one.run, kwargs={"once": True})
    thread.start()
    end = time.monotonic() + 20
    while not one.progress.rows and time.monotonic() < end:
        time.sleep(0.001)
    fresh.kill()
    fresh.start()
    thread.join(60)
    assert not thread.is_alive()
    counts(fresh.dsn, folder / "lake", KINDS)
    assert "postgres is away" in caplog.text


def test_a_worker_stops_while_the_database_is_away_and_acknowledges_nothing(
    worker: Callable[..., Worker], fresh: Postgres, client: Client
) -> None:
    one = worker()
    one._consumer.join()
    one._database._wait = one._consumer.wait
    fresh.kill()
    try:
        thread = threading.Thread(target=one.run)
        thread.start()
        end = time.monotonic() + 20
        while not one._database._away and time.monotonic() < end:
            time.sleep(0.01)
        one._consumer.stop()
        thread.join(20)
        assert not thread.is_alive()
        assert any(lag.pending for lag in one._consumer.lag())
    finally:
        fresh.start()


def test_tables_are_made_only_when_allowed(fresh: Postgres) -> None:
    def opened(*, create: bool) -> None:
        database = Database(Dsn(fresh.dsn), "cryptotools", create=create, wait=lambda _: False)
        try:
            database.open()
        finally:
            database.close()

    with pytest.raises(ServiceError, match="version 0, version 1 is needed\nhint: run once with"):
        opened(create=False)
    opened(create=True)
    opened(create=False)
    fresh.do("INSERT INTO cryptotools.schema_version VALUES (99)")
    with pytest.raises(ServiceError, match="is of version 99, this program knows 1"):
        opened(create=True)


def test_a_primary_key_with_the_time_in_it_is_used(
    folder: Path, worker: Callable[..., Worker], fresh: Postgres, database: Database
) -> None:
    database.close()
    fresh.do(
        "ALTER TABLE cryptotools.trades DROP CONSTRAINT trades_pkey, "
        "ADD PRIMARY KEY (key, id, time)"
    )
    worker().run(once=True)
    Lake(folder / "lake", database, ("trade",)).load()
    counts(fresh.dsn, folder / "lake", KINDS)


def test_the_newest_revision_of_a_kline_is_a_view(
    worker: Callable[..., Worker], client: Client, fresh: Postgres
) -> None:
    name = stream_key(KEY, "kline", "1m")
    (_, fields), *_ = plain(client.xrange(name, count=1))
    ((newest, _),) = plain(client.xrevrange(name, count=1))
    ms, _, top = newest.partition("-")
    seq = int(top) + 1
    revised = fields | {"revision": "1", "complete": "0", "seq": str(seq)}
    client.xadd(name, revised, id=f"{ms}-{seq}")
    worker().run(once=True)
    of = "WHERE key = 'binance:BTCUSDT' AND interval = '1m' ORDER BY open_time, revision"
    every = fresh.rows(f"SELECT open_time, revision, complete FROM cryptotools.klines {of}")
    view = fresh.rows(f"SELECT open_time, revision, complete FROM cryptotools.klines_latest {of}")
    assert every[1:] == view
    assert view[0][1:] == (1, False)


SECRET = "s3cret"


def test_a_password_is_never_told(
    fresh: Postgres, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for text in (
        f"postgres//me:{SECRET}@host/db",
        f"host=x password={SECRET} nonsense",
        f"postgresql://me:{SECRET}@[host/db",
        f"postgresql://me:@host:{SECRET}/db",
    ):
        with pytest.raises(ConfigError) as bad:
            Dsn(text)
        assert SECRET not in f"{bad.value}"
    dsn = Dsn(fresh.dsn)
    assert SECRET not in f"{dsn} {dsn!r}"
    assert SECRET not in dsn.told(f"FATAL: {SECRET} is wrong")
    refused = f"postgresql://tests:{SECRET}@/{SECRET}?host={fresh._folder}"
    database = Database(Dsn(refused), "cryptotools", create=True, wait=lambda _: True)
    with pytest.raises(ServiceError) as error:
        database.open()
    assert "does not exist" in str(error.value)
    done = sink_to(folder, f"host=x password={SECRET} nonsense")
    assert isinstance(done.exception, ConfigError)
    assert SECRET not in done.output + str(done.exception) + caplog.text


def test_who_has_no_driver_is_told_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "find_spec", lambda _: None)
    done = sink_to(folder, "host=x")
    assert "pip install 'cryptotools[postgres]'" in str(done.exception)


def test_there_is_no_table_for_forming_klines(folder: Path) -> None:
    done = sink_to(folder, "host=x", "--kind", "forming")
    assert "there is no table for `forming`" in str(done.exception)
