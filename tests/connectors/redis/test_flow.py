"""Bytewax flows into streams and out of them."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import redis
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from connectors.redis.codec import Entry
from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer, ensure
from connectors.redis.keys import stream_key
from connectors.redis.sink import RedisSink
from connectors.redis.source import StreamPartition, StreamSource
from connectors.redis.writer import Writer
from connectors.shutdown import STOP
from core.market.errors import ConfigError, ServiceError
from core.market.trades import Trades

KEY, OTHER = "binance:BTCUSDT", "binance:ETHUSDT"
TRADES, OTHERS = stream_key(KEY, "trade"), stream_key(OTHER, "trade")
EVERY = timedelta(0)
Some = Callable[..., Trades]
Make = Callable[..., Writer]


@pytest.fixture(autouse=True)
def _running() -> Iterator[None]:
    STOP.clear()
    yield
    STOP.clear()


def ids(client: redis.Redis, name: str = TRADES) -> list[int]:
    found: Any = client.xrange(name)
    return [int(fields["id"]) for _, fields in found]


def read(part: StreamPartition) -> list[int]:
    return [int(entry.fields["id"]) for _, entry in part.next_batch()]


def publishing(batches: list[Any], url: str) -> Dataflow:
    flow = Dataflow("publish")
    items = op.input("in", flow, TestingSource(batches))
    op.output("redis", items, RedisSink(RedisConfig(url=url, partitions=2)))
    return flow


def test_a_flow_publishes_what_it_is_given(
    client: redis.Redis, server: EmbeddedServer, trades: Some
) -> None:
    batches: list[Any] = []
    for first in range(1, 101, 10):
        batches += [(key, trades(first, first + 9, key)) for key in (KEY, OTHER)]
    run_main(publishing(batches, server.url))
    assert ids(client) == ids(client, OTHERS) == list(range(1, 101))


def test_a_flow_that_died_goes_on_without_a_loss_or_a_double(
    client: redis.Redis, server: EmbeddedServer, trades: Some, tmp_path: Path
) -> None:
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    batches: list[Any] = [(KEY, trades(n, n + 9)) for n in range(1, 101, 10)]
    batches[4:4] = [TestingSource.ABORT()]
    batches[8:8] = [TestingSource.EOF()]
    flow = publishing(batches, server.url)
    run_main(flow, epoch_interval=timedelta(hours=1), recovery_config=recovery)
    assert ids(client) == list(range(1, 41))
    for _ in range(3):
        run_main(flow, epoch_interval=EVERY, recovery_config=recovery)
    assert ids(client) == list(range(1, 101))


def test_a_partition_of_the_sink_hands_on_what_redis_did_not_take(
    client: redis.Redis, server: EmbeddedServer, folder: Path, trades: Some
) -> None:
    sink = RedisSink(RedisConfig(url=server.url, partitions=3))
    assert sink.list_parts() == ["redis-00", "redis-01", "redis-02"]
    assert sink.part_fn(KEY) == crc32(KEY.encode())
    one = sink.build_part("s", "redis-00", None)
    one.write_batch([trades(1, 3)])
    os.kill(server.pid, signal.SIGKILL)
    one.write_batch([trades(4, 6)])
    state = one.snapshot()
    ensure(folder)
    two = sink.build_part("s", "redis-00", state)
    two.close()
    assert ids(client) == list(range(1, 7))


def test_a_flow_reads_what_another_published(
    client: redis.Redis, server: EmbeddedServer, writer: Make, trades: Some
) -> None:
    writer().publish([trades(1, 2500), trades(1, 30, OTHER)])
    out: list[tuple[str, Entry]] = []
    left = iter(range(2529, -1, -1))

    def seen(item: tuple[str, Entry]) -> tuple[str, Entry]:
        if next(left) == 0:
            STOP.set()
        return item

    flow = Dataflow("read")
    items = op.input("in", flow, StreamSource(server.url, [TRADES, OTHERS]))
    op.output("out", op.map("seen", items, seen), TestingSink(out))
    run_main(flow)
    for key, last in ((KEY, 2500), (OTHER, 30)):
        got = [int(entry.fields["id"]) for k, entry in out if k == key]
        assert got == list(range(1, last + 1))


def test_a_source_goes_on_behind_its_snapshot(
    client: redis.Redis, server: EmbeddedServer, writer: Make, trades: Some,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    one = writer()
    one.publish([trades(1, 50)])
    source = StreamSource(server.url, [TRADES])
    part = source.build_part("s", TRADES, None)
    assert read(part) == list(range(1, 51))
    assert part.next_awake() is None
    assert read(part) == []
    one.publish([trades(51, 60)])
    assert read(part) == list(range(51, 61))
    state = part.snapshot()
    part.close()
    one.publish([trades(61, 70)])
    again = source.build_part("s", TRADES, state)
    assert read(again) == list(range(61, 71))
    again.close()
    assert caplog.records == []


def test_a_quiet_stream_is_asked_less_and_less_often(
    client: redis.Redis, server: EmbeddedServer, writer: Make, trades: Some
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    client_of_part = redis.Redis.from_url(server.url, decode_responses=True, protocol=2)
    part = StreamPartition(
        client_of_part, TRADES, "0-0", seen=False, now=lambda: at, dice=FakeDice()
    )
    waits = []
    for _ in range(8):
        assert read(part) == []
        waits.append(((part.next_awake() or at) - at).total_seconds())
    assert waits == [0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.1, 0.1]
    writer().publish([trades(1, 1)])
    assert read(part) == [1]
    assert part.next_awake() is None
    part.close()


class FakeDice:
    """Always the longest delay."""

    def random(self) -> float:
        return 1.0


def test_a_stream_cut_behind_the_reader_is_an_error_in_words(
    client: redis.Redis, server: EmbeddedServer, writer: Make, trades: Some,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    one = writer()
    one.publish([trades(1, 10)])
    part = StreamSource(server.url, [TRADES]).build_part("s", TRADES, None)
    assert len(read(part)) == 10
    one.publish([trades(11, 30)])
    client.xtrim(TRADES, maxlen=5, approximate=False)
    assert read(part) == [26, 27, 28, 29, 30]
    assert read(part) == []
    (said,) = caplog.records
    assert "entries may be missing" in said.getMessage()
    part.close()


def test_a_source_waits_for_a_server_that_is_away(
    client: redis.Redis, server: EmbeddedServer, folder: Path, writer: Make, trades: Some,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    writer().publish([trades(1, 10)])
    part = StreamSource(server.url, [TRADES]).build_part("s", TRADES, None)
    assert len(read(part)) == 10
    os.kill(server.pid, signal.SIGKILL)
    assert [read(part), read(part)] == [[], []]
    assert part.next_awake() is not None
    ensure(folder)
    one = writer()
    one.publish([trades(1, 12)])
    assert one.flush(10)
    assert read(part) == [11, 12]
    assert len([r for r in caplog.records if "away" in r.getMessage()]) == 1
    part.close()


def test_a_source_with_a_wrong_password_ends_in_words(server: EmbeddedServer) -> None:
    url = server.url.replace("unix://", "unix://nobody:wrong@")
    part = StreamSource(url, [TRADES]).build_part("s", TRADES, None)
    with pytest.raises(ServiceError, match="password"):
        part.next_batch()


def test_a_source_stops_with_the_process(server: EmbeddedServer) -> None:
    part = StreamSource(server.url, [TRADES]).build_part("s", TRADES, None)
    STOP.set()
    with pytest.raises(StopIteration):
        part.next_batch()
    part.close()


def test_a_source_of_a_stranger_is_refused(server: EmbeddedServer) -> None:
    with pytest.raises(ConfigError, match="no stream of ours"):
        StreamSource(server.url, ["other"])
