"""Publishing once, in order, through crashes of either side; on a real server."""

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer, ensure
from connectors.redis.keys import meta_key, stream_key
from connectors.redis.writer import Writer
from core.market.errors import ServiceError
from core.market.events import Gap, Quarantined
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.market.signal import Side, Signal
from core.market.trades import Trades

KEY = "binance:BTCUSDT"
TRADES = stream_key(KEY, "trade")
Make = Callable[..., Writer]
Some = Callable[[int, int], Trades]


def entries(client: redis.Redis, name: str = TRADES) -> list[tuple[str, dict[str, str]]]:
    found: Any = client.xrange(name)
    return list(found)


def ids(client: redis.Redis) -> list[int]:
    return [int(fields["id"]) for _, fields in entries(client)]


def send(writer: Writer, *records: Trades) -> None:
    for record in records:
        writer.publish(record)
    writer.flush()


def drained(writer: Writer) -> None:
    until = time.monotonic() + 20
    while writer.backlog:
        assert time.monotonic() < until, "the backlog does not go away"
        writer.flush()


def test_a_trade_is_a_readable_entry_whose_id_is_its_time_and_number(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    send(writer(), trades(7, 8))
    (first_id, first), (_, second) = entries(client)
    assert first_id == "1723161600010-7"
    assert first == {
        "id": "7", "time_us": "1723161600010500", "price": "61837.63", "quantity": "0.02001",
        "taker": "buy",
    }  # fmt: skip
    assert second["taker"] == "sell"


def test_rows_sent_again_are_dropped_by_the_server(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    send(writer(), trades(1, 600))
    send(writer(), trades(300, 1200))
    assert ids(client) == list(range(1, 1201))


def test_a_stream_keeps_about_so_many(client: redis.Redis, writer: Make, trades: Some) -> None:
    send(writer(keep=100), trades(1, 5000))
    assert 100 <= client.xlen(TRADES) <= 300
    assert ids(client)[-1] == 5000


def test_ids_beyond_doubles_stay_exact(client: redis.Redis, writer: Make, trades: Some) -> None:
    big = 2**53 + 1
    send(writer(), trades(big, big + 2))
    assert ids(client) == [big, big + 1, big + 2]


def test_time_that_steps_back_does_not_lose_a_row(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    later, earlier = trades(1, 3), trades(4, 6)
    earlier.time_us[:] -= 10_000_000
    send(writer(), later, earlier)
    assert ids(client) == [1, 2, 3, 4, 5, 6]


def test_a_writer_that_was_replaced_is_fenced_off(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    old, new = writer(), writer()
    send(old, trades(1, 3))
    send(new, trades(4, 6))
    with pytest.raises(ServiceError, match="FENCED"):
        send(old, trades(7, 9))
    assert ids(client) == [1, 2, 3, 4, 5, 6]
    assert client.hget(meta_key(KEY), "generation") == "2"


def kline(seq: int, status: Status = Status.FINAL) -> Kline:
    return Kline(
        KEY, interval("1m"), 1_723_161_600_000_000, 1_723_161_659_999_999, 2, 5,
        6183763, 6183800, 6183700, 6183763, 2000, 12367526000, 1, 0, 0, 7, 7, status, seq=seq,
    )  # fmt: skip


def test_every_kind_of_record_has_its_stream(client: redis.Redis, writer: Make) -> None:
    one = writer()
    one.publish(kline(5 << 20))
    one.publish(kline(6 << 20, Status.FORMING))
    one.publish(
        Signal(KEY, interval("1m"), "rsi_reversal", "rsi", Side.LONG, 0, 59_999_999, "61837.63",
               "rsi 31.2 left oversold", (("rsi", 31.25),), seq=7 << 20)
    )  # fmt: skip
    one.publish(Gap(KEY, 1_000_000, 8 << 20, 3, 4, "gone"))
    one.publish(Quarantined("binance:shard-0", 1_000_000, 1, "not JSON", "link 1", "{"))
    one.flush()
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


def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(
    client: redis.Redis, writer: Make, trades: Some, server: EmbeddedServer, folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    one = writer(hold_seconds=5.0)
    send(one, trades(1, 500))
    os.kill(server.pid, signal.SIGKILL)
    with caplog.at_level(logging.WARNING, "cryptotools.redis"):
        for first in range(501, 1501, 100):
            send(one, trades(first, first + 99))
    assert one.backlog == 1000
    assert len([r for r in caplog.records if "away" in r.message]) == 1
    ensure(folder)
    drained(one)
    assert ids(client) == list(range(1, 1501))


def test_an_outbox_sent_again_fills_what_a_server_forgot(
    client: redis.Redis, writer: Make, trades: Some, server: EmbeddedServer, folder: Path
) -> None:
    one = writer(hold_seconds=60.0)
    send(one, trades(1, 300))
    client.flushall()  # as if it came back from an older state
    os.kill(server.pid, signal.SIGKILL)
    send(one, trades(301, 302))
    ensure(folder)
    drained(one)
    assert ids(client) == list(range(1, 303))


def test_a_snapshot_of_the_outbox_goes_on_in_another_writer(
    client: redis.Redis, writer: Make, trades: Some, server: EmbeddedServer, folder: Path
) -> None:
    one = writer(hold_seconds=60.0)
    send(one, trades(1, 10))
    os.kill(server.pid, signal.SIGKILL)
    send(one, trades(11, 20))
    state = one.snapshot()
    assert [int(row[3]) for row in state] == list(range(1, 21))
    ensure(folder)
    two = writer()
    two.restore(state)
    drained(two)
    assert ids(client) == list(range(1, 21))


def test_a_full_backlog_blocks_until_the_server_is_back(
    client: redis.Redis, trades: Some, server: EmbeddedServer, folder: Path
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            ensure(folder)
        time.sleep(0.005)

    one = Writer(RedisConfig(url=server.url, max_backlog=1000), sleep=sleep)
    send(one, trades(1, 10))
    os.kill(server.pid, signal.SIGKILL)
    send(one, trades(11, 1011))
    assert len(waits) >= 3
    drained(one)
    assert ids(client) == list(range(1, 1012))
    one.close()


def test_a_server_without_memory_takes_the_rows_later_and_all_of_them(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    one = writer()
    send(one, trades(1, 10))
    client.config_set("maxmemory", "1mb")
    try:
        send(one, trades(11, 400))
        assert one.backlog == 390
    finally:
        client.config_set("maxmemory", "1gb")
    drained(one)
    assert ids(client) == list(range(1, 401))


def test_a_wrong_password_is_fatal_in_words(server: EmbeddedServer, trades: Some) -> None:
    url = server.url.replace("unix://", "unix://nobody:wrong@")
    one = Writer(RedisConfig(url=url))
    with pytest.raises(ServiceError, match="password") as caught:
        send(one, trades(1, 2))
    assert "REDIS_URL" in caught.value.hint


def test_a_writer_that_cannot_reach_redis_keeps_its_rows(tmp_path: Path, trades: Some) -> None:
    one = Writer(RedisConfig(url=f"unix://{tmp_path}/nothing.sock"))
    send(one, trades(1, 2))
    assert one.backlog == 2
    assert len(one.snapshot()) == 2
