"""Crashes of either side, full outboxes, back-off; on a real server."""

import json
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
from connectors.redis.keys import stream_key
from connectors.redis.writer import Writer
from connectors.shutdown import STOP
from core.market.trades import Trades

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


def ids(client: redis.Redis, name: str = TRADES) -> list[int]:
    found: Any = client.xrange(name)
    return [int(fields["id"]) for _, fields in found]


def drained(writer: Writer) -> None:
    assert writer.flush(20), "the backlog does not go away"


def kill(server: EmbeddedServer, folder: Path) -> None:
    os.kill(server.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while running(folder):
        assert time.monotonic() < until, "the server does not die"


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
    assert [int(json.loads(row[3])[0]) for row in one.snapshot()] == list(range(11, 21))
    clock.now = 20.0
    one.publish([trades(21, 21)])  # any answer is a proof
    assert [int(json.loads(row[3])[0]) for row in one.snapshot()] == [21]
    one.close()


def test_rows_stay_in_the_outbox_if_their_connection_did_not_outlive_the_hold(
    client: redis.Redis, server: EmbeddedServer, folder: Path, trades: Some
) -> None:
    clock = Clock()
    one = Writer(RedisConfig(url=server.url, hold_seconds=5), clock=clock, sleep=clock.sleep)
    one.publish([trades(1, 10)])
    kill(server, folder)
    ensure(folder)  # there is a server again, but another one
    clock.now = 10.0
    assert [int(json.loads(row[3])[0]) for row in one.snapshot()] == list(range(1, 11))
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
    assert [int(json.loads(row[3])[0]) for row in state] == list(range(1, 21))
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
