"""Publishing once, in order, through crashes of either side; on a real server."""

import logging
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer, ensure, running, stop
from connectors.redis.keys import REGISTRY, meta_key, stream_key
from connectors.redis.writer import Writer
from connectors.shutdown import STOP
from core.market.errors import ConfigError, ServiceError
from core.market.events import Gap, Quarantined
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.market.signal import Side, Signal
from core.market.trades import Trades
from telemetry import metrics

KEY = "binance:BTCUSDT"
OTHER = "binance:ETHUSDT"
TRADES = stream_key(KEY, "trade")
Make = Callable[..., Writer]
Some = Callable[..., Trades]


class Clock:
    """Time that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


class Most:
    """Dice that always give the longest delay."""

    def random(self) -> float:
        return 1.0


def entries(client: redis.Redis, name: str = TRADES) -> list[tuple[str, dict[str, str]]]:
    found: Any = client.xrange(name)
    return list(found)


def ids(client: redis.Redis, name: str = TRADES) -> list[int]:
    return [int(fields["id"]) for _, fields in entries(client, name)]


def drained(writer: Writer) -> None:
    assert writer.flush(20), "the backlog does not go away"


def kill(server: EmbeddedServer, folder: Path) -> None:
    os.kill(server.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while running(folder):
        assert time.monotonic() < until, "the server does not die"


def test_a_trade_is_a_readable_entry_whose_id_is_its_time_and_number(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    writer().publish([trades(7, 8)])
    (first_id, first), (_, second) = entries(client)
    assert first_id == "1723161600010-7"
    assert first == {
        "id": "7", "time_us": "1723161600010500", "price": "61837.63", "quantity": "0.02001",
        "taker": "buy",
    }  # fmt: skip
    assert second["taker"] == "sell"


def test_rows_sent_again_are_dropped_by_the_server_and_counted(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    published = metrics.total(metrics.PUBLISHED, kind="trade")
    known = metrics.total(metrics.PUBLISH_DUPLICATES, kind="trade")
    writer().publish([trades(1, 600)])
    writer().publish([trades(300, 1200)])
    assert ids(client) == list(range(1, 1201))
    assert metrics.total(metrics.PUBLISHED, kind="trade") - published == 1200
    assert metrics.total(metrics.PUBLISH_DUPLICATES, kind="trade") - known == 301


def test_a_stream_keeps_about_so_many(client: redis.Redis, writer: Make, trades: Some) -> None:
    writer(keep=100).publish([trades(1, 5000)])
    assert 100 <= client.xlen(TRADES) <= 300
    assert ids(client)[-1] == 5000


def test_a_stream_keeps_about_so_long(client: redis.Redis, writer: Make, trades: Some) -> None:
    writer(retention_ms=1500).publish([trades(1, 5000)])  # 1.5 ms apart
    assert 1000 <= client.xlen(TRADES) <= 1200


def test_ids_beyond_doubles_stay_exact(client: redis.Redis, writer: Make, trades: Some) -> None:
    big = 2**53 + 1
    writer().publish([trades(big, big + 2)])
    assert ids(client) == [big, big + 1, big + 2]


def test_time_that_steps_back_does_not_lose_a_row(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    later, earlier = trades(1, 3), trades(4, 6)
    earlier.time_us[:] -= 10_000_000
    writer().publish([later, earlier])
    assert ids(client) == [1, 2, 3, 4, 5, 6]


def test_a_writer_that_was_replaced_is_fenced_off(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    old, new = writer(), writer()
    old.publish([trades(1, 3)])
    new.publish([trades(4, 6)])
    with pytest.raises(ServiceError, match="FENCED"):
        old.publish([trades(7, 9)])
    assert ids(client) == [1, 2, 3, 4, 5, 6]
    assert client.hget(meta_key(KEY), "generation") == "2"


def test_another_instrument_is_not_fenced_by_a_replaced_one(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    old, new = writer(), writer()
    old.publish([trades(1, 3), trades(1, 3, OTHER)])
    new.publish([trades(4, 6)])
    with pytest.raises(ServiceError, match="FENCED"):
        old.publish([trades(4, 6), trades(4, 6, OTHER)])
    assert ids(client, stream_key(OTHER, "trade")) == [1, 2, 3, 4, 5, 6]


def kline(seq: int, status: Status = Status.FINAL, revision: int = 0, minute: int = 0) -> Kline:
    opens = 1_723_161_600_000_000 + minute * 60_000_000
    return Kline(
        KEY, interval("1m"), opens, opens + 59_999_999, 2, 5,
        6183763, 6183800, 6183700, 6183763, 2000, 12367526000, 1, 0, 0, 7, 7, status,
        revision=revision, seq=seq,
    )  # fmt: skip


def test_every_kind_of_record_has_its_stream(client: redis.Redis, writer: Make) -> None:
    writer().publish(
        [
            kline(5 << 20),
            kline(6 << 20, Status.FORMING),
            Signal(KEY, interval("1m"), "rsi_reversal", "rsi", Side.LONG, 0, 59_999_999, "61837.63",
                   "rsi 31.2 left oversold", (("rsi", 31.25),), seq=7 << 20),
            Gap(KEY, 1_000_000, 8 << 20, 3, 4, "gone"),
            Quarantined("binance:shard-0", 1_000_000, 1, "not JSON", "link 1", "{"),
        ]
    )  # fmt: skip
    (_, closed) = entries(client, stream_key(KEY, "kline", "1m"))[0]
    assert (closed["close"], closed["quote_volume"], closed["status"]) == (
        "61837.63", "1236.7526", "final",
    )  # fmt: skip
    (_, forming) = entries(client, stream_key(KEY, "forming", "1m"))[0]
    assert forming["status"] == "forming"
    (_, said) = entries(client, stream_key(KEY, "signal"))[0]
    assert (said["side"], said["values"]) == ("long", '{"rsi":31.25}')
    (_, gap) = entries(client, stream_key(KEY, "event"))[0]
    assert gap == {"kind": "gap", "time_us": "1000000", "seq": str(8 << 20), "first_id": "3",
                   "last_id": "4", "reason": "gone"}  # fmt: skip
    (_, bad) = entries(client, stream_key("binance:shard-0", "quarantine"))[0]
    assert bad["payload"] == "{"
    assert client.scard(REGISTRY) == 5


def test_a_revision_of_an_older_kline_comes_after_newer_ones(
    client: redis.Redis, writer: Make
) -> None:
    writer().publish([kline(1), kline(2, minute=1), kline(3, revision=1)])
    found = entries(client, stream_key(KEY, "kline", "1m"))
    assert [(fields["seq"], fields["revision"]) for _, fields in found] == [
        ("1", "0"), ("2", "0"), ("3", "1"),
    ]  # fmt: skip


def test_numbers_that_do_not_rise_are_an_error_in_words(
    client: redis.Redis, writer: Make, trades: Some, caplog: pytest.LogCaptureFixture
) -> None:
    one = writer()
    one.publish([trades(1, 10)])
    one.publish([trades(1, 10)])
    one.publish([trades(1, 10)])
    (said,) = [r.getMessage() for r in caplog.records]
    assert "10 rows" in said
    assert "do not rise" in said


def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(
    client: redis.Redis, writer: Make, trades: Some, server: EmbeddedServer, folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    one = writer(hold_seconds=5.0)
    one.publish([trades(1, 500)])
    kill(server, folder)
    with caplog.at_level(logging.WARNING, "cryptotools.redis"):
        for first in range(501, 1501, 100):
            one.publish([trades(first, first + 99)])
        assert one.backlog == 1000
        ensure(folder)
        drained(one)
    assert ids(client) == list(range(1, 1501))
    assert [r.getMessage()[:20] for r in caplog.records] == [
        "redis takes no rows,", "redis takes rows aga",
    ]  # fmt: skip


@pytest.mark.parametrize("sent_while_down", [True, False])
def test_an_outbox_sent_again_fills_what_a_server_forgot(
    client: redis.Redis, writer: Make, trades: Some, server: EmbeddedServer, folder: Path,
    sent_while_down: bool,
) -> None:  # fmt: skip
    # Without a row sent while it is down only the connection knows that the server was restarted.
    one = writer(hold_seconds=60.0)
    for first in range(1, 301, 50):
        one.publish([trades(first, first + 49), trades(first, first + 49, OTHER)])
    client.xtrim(TRADES, maxlen=0, approximate=False)
    client.flushall()  # as if it came back from an older state
    one.publish([])
    kill(server, folder)
    if sent_while_down:
        one.publish([trades(301, 302), trades(301, 302, OTHER)])
    ensure(folder)
    one.publish([trades(303, 304) if sent_while_down else trades(301, 304)])
    drained(one)
    assert ids(client) == list(range(1, 305))
    assert ids(client, stream_key(OTHER, "trade"))[:300] == list(range(1, 301))


def test_it_has_one_connection(client: redis.Redis, writer: Make, trades: Some) -> None:
    one = writer(hold_seconds=0.0)
    for n in range(1, 4):
        one.publish([trades(n, n)])
        one.snapshot()
    mine: Any = client.client_list()
    assert [c["name"] for c in mine if c["name"]] == ["cryptotools"]


def test_rows_leave_the_outbox_when_their_connection_outlived_the_hold(
    client: redis.Redis, server: EmbeddedServer, trades: Some
) -> None:
    clock = Clock()
    one = Writer(RedisConfig(url=server.url, hold_seconds=5), clock=clock, sleep=clock.sleep)
    one.publish([trades(1, 10)])
    clock.now = 4.9
    one.publish([trades(11, 20)])
    assert len(one.snapshot()) == 20
    clock.now = 5.0
    assert [int(row[3]) for row in one.snapshot()] == list(range(11, 21))
    clock.now = 20.0
    one.publish([trades(21, 21)])  # any answer is a proof
    assert [int(row[3]) for row in one.snapshot()] == [21]
    one.close()


def test_the_hold_is_asked_of_the_server(client: redis.Redis, writer: Make, trades: Some) -> None:
    one = writer()
    one.publish([trades(1, 10)])
    assert one.snapshot() == []
    client.config_set("appendfsync", "everysec")
    try:
        two = writer()
        two.publish([trades(11, 20)])
        assert len(two.snapshot()) == 10
    finally:
        client.config_set("appendfsync", "always")


def test_a_snapshot_of_the_outbox_goes_on_in_another_writer(
    client: redis.Redis, writer: Make, trades: Some, server: EmbeddedServer, folder: Path
) -> None:
    one = writer(hold_seconds=60.0)
    one.publish([trades(1, 10)])
    kill(server, folder)
    one.publish([trades(11, 20)])
    state = pickle.loads(pickle.dumps(one.snapshot()))
    assert [int(row[3]) for row in state] == list(range(1, 21))
    ensure(folder)
    two = writer()
    two.restore(state)
    drained(two)
    assert ids(client) == list(range(1, 21))


def test_a_full_outbox_blocks_until_the_server_is_back(
    client: redis.Redis, trades: Some, server: EmbeddedServer, folder: Path
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            ensure(folder)
        time.sleep(0.005)

    one = Writer(RedisConfig(url=server.url, max_backlog=1000), sleep=sleep)
    one.publish([trades(1, 10)])
    kill(server, folder)
    one.publish([trades(11, 1010)])
    assert waits == []
    one.publish([trades(1011, 1011)])
    assert len(waits) >= 3
    drained(one)
    assert ids(client) == list(range(1, 1012))
    one.close()


@pytest.fixture
def stopping() -> Iterator[None]:
    STOP.set()
    yield
    STOP.clear()


@pytest.mark.usefixtures("stopping")
def test_a_full_outbox_does_not_keep_a_process_from_stopping(tmp_path: Path, trades: Some) -> None:
    one = Writer(RedisConfig(url=f"unix://{tmp_path}/nothing.sock", max_backlog=1000))
    one.publish([trades(1, 1500)])
    assert len(one.snapshot()) == 1500


def test_a_server_without_memory_takes_the_rows_later_and_all_of_them(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    one = writer()
    one.publish([trades(1, 10)])
    client.config_set("maxmemory", "1mb")
    try:
        one.publish([trades(11, 400)])
        assert one.backlog == 390
    finally:
        client.config_set("maxmemory", "1gb")
    drained(one)
    assert ids(client) == list(range(1, 401))


def test_a_wrong_password_is_fatal_in_words(server: EmbeddedServer, trades: Some) -> None:
    url = server.url.replace("unix://", "unix://nobody:wrong@")
    with pytest.raises(ServiceError, match="password") as caught:
        Writer(RedisConfig(url=url)).publish([trades(1, 2)])
    assert "REDIS_URL" in caught.value.hint


@pytest.fixture
def limited(client: redis.Redis, server: EmbeddedServer, writer: Make) -> Iterator[str]:
    """The address of a user who may do what the documents ask for, and no more."""
    writer().publish([Gap("x:y", 1, 1, 1, 1, "loads the functions")])
    client.acl_setuser(
        "publisher", enabled=True, passwords=["+secret"], keys=["md:*"], reset=True,
        commands=["+fcall", "+xadd", "+xtrim", "+hget", "+hset", "+hmget", "+hincrby", "+time",
                  "+function|list", "+ping"],
    )  # fmt: skip
    yield server.url.replace("unix://", "unix://publisher:secret@")
    client.acl_deluser("publisher")


def test_a_user_with_few_rights_may_publish(
    client: redis.Redis, limited: str, trades: Some
) -> None:
    one = Writer(RedisConfig(url=limited, hold_seconds=0))
    one.publish([trades(1, 3)])
    assert ids(client) == [1, 2, 3]
    one.close()


def test_a_password_changed_later_is_waited_for(
    client: redis.Redis, limited: str, trades: Some
) -> None:
    one = Writer(RedisConfig(url=limited, hold_seconds=0))
    one.publish([trades(1, 3)])
    client.acl_setuser("publisher", enabled=True, passwords=["-secret", "+other"])
    client.client_kill_filter(user="publisher")
    one.publish([trades(4, 6)])
    one.publish([trades(7, 9)])
    assert one.backlog == 6
    client.acl_setuser("publisher", enabled=True, passwords=["+secret"])
    drained(one)
    assert ids(client) == list(range(1, 10))
    one.close()


def test_a_function_that_was_flushed_is_loaded_again(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    one = writer()
    one.publish([trades(1, 3)])
    client.function_flush()
    one.publish([trades(4, 6)])
    drained(one)
    assert ids(client) == [1, 2, 3, 4, 5, 6]


def test_what_time_does_not_heal_is_raised(client: redis.Redis, writer: Make, trades: Some) -> None:
    client.set(TRADES, "no stream")
    with pytest.raises(ServiceError, match="WRONGTYPE"):
        writer().publish([trades(1, 2)])


def test_retries_back_off_and_never_sleep_in_publish(tmp_path: Path, trades: Some) -> None:
    clock = Clock()
    one = Writer(
        RedisConfig(url=f"unix://{tmp_path}/nothing.sock"),
        clock=clock, dice=Most(), sleep=clock.sleep,
    )  # fmt: skip
    tried = []
    for n in range(1, 400):
        before = one._again_at
        one.publish([trades(n, n)])
        if one._again_at != before:
            tried.append(clock.now)
        clock.now += 0.01
    assert clock.sleeps == []
    waits = [b - a for a, b in pairwise(tried)]
    assert waits == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28], abs=0.011)
    assert len(one.snapshot()) == 399


def test_closing_gives_up_in_time_and_says_what_is_left(
    tmp_path: Path, trades: Some, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    one = Writer(RedisConfig(url=f"unix://{tmp_path}/nothing.sock"), clock=clock, sleep=clock.sleep)
    one.publish([trades(1, 7)])
    one.close(3.0)
    assert clock.now == pytest.approx(3.0, abs=0.01)
    assert "7 rows could not be published" in caplog.text


@pytest.mark.parametrize("url", [None, "none", "ftp://there"])
def test_an_address_that_cannot_be_one_is_refused(url: str | None, trades: Some) -> None:
    with pytest.raises(ConfigError, match=r"redis\.url"):
        Writer(RedisConfig(url=url)).publish([trades(1, 2)])


@pytest.mark.slow
def test_many_kills_lose_and_double_nothing(tmp_path: Path, trades: Some) -> None:
    server = ensure(tmp_path)
    one = Writer(RedisConfig(url=server.url))
    try:
        for n in range(200):
            one.publish([trades(n * 100 + 1, n * 100 + 100)])
            if n % 20 == 7:
                os.kill(ensure(tmp_path).pid, signal.SIGKILL)
            if n % 20 == 13:
                ensure(tmp_path)
        drained(one)
        with redis.Redis.from_url(server.url, decode_responses=True, protocol=2) as client:
            assert ids(client) == list(range(1, 20_001))
    finally:
        one.close()
        stop(tmp_path)
