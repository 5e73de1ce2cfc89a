"""Reading back: the newest, what comes, and as the source of another flow."""

from collections.abc import Callable

import pytest
import redis
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer
from connectors.redis.keys import parse_key, stream_key
from connectors.redis.reader import Entry, Reader
from connectors.redis.sink import RedisSink
from connectors.redis.source import StreamSource
from connectors.redis.writer import Writer
from connectors.shutdown import STOP
from core.market.errors import ConfigError, ServiceError
from core.market.trades import Trades

KEY = "binance:BTCUSDT"
TRADES = stream_key(KEY, "trade")
Some = Callable[[int, int], Trades]


def ids(entries: list[Entry]) -> list[int]:
    return [int(entry.fields["id"]) for entry in entries]


@pytest.mark.parametrize("kind", ["trade", "signal", "event", "quarantine", "kline", "forming"])
def test_names_of_streams_read_back(kind: str) -> None:
    interval = "1M" if kind in {"kline", "forming"} else ""
    said = parse_key(stream_key("binance:BTCUSDT", kind, interval))
    assert said is not None
    assert (said.key, said.kind, said.interval) == ("binance:BTCUSDT", kind, interval)


@pytest.mark.parametrize("name", ["", "other", "md:{a:b}:~w", "md:{a:b}:nonsense", "md:a:trade"])
def test_other_names_are_none_of_ours(name: str) -> None:
    assert parse_key(name) is None


def test_a_reader_finds_streams_and_their_newest_entries(
    client: redis.Redis, server: EmbeddedServer, writer: Callable[..., Writer], trades: Some
) -> None:
    one = writer()
    one.publish(trades(1, 50))
    one.flush()
    reader = Reader(server.url)
    assert reader.streams({"trade"}) == [TRADES]
    assert reader.streams({"trade"}, symbols={"ETHUSDT"}) == []
    assert reader.streams({"kline"}) == []
    assert ids(reader.newest([TRADES], 3)) == [48, 49, 50]
    reader.close()


def test_following_brings_what_comes_later(
    client: redis.Redis, server: EmbeddedServer, writer: Callable[..., Writer], trades: Some
) -> None:
    one = writer()
    one.publish(trades(1, 5))
    one.flush()
    reader = Reader(server.url)
    pages = reader.follow({TRADES: reader.last_id(TRADES)})
    one.publish(trades(6, 9))
    one.flush()
    assert ids(next(pages)) == [6, 7, 8, 9]
    assert ids(next(pages)) == []
    reader.close()


def test_an_address_where_nobody_is_says_so() -> None:
    with pytest.raises(ServiceError, match="redis"):
        Reader("unix:///nowhere/at/all.sock")


def test_what_a_flow_publishes_another_flow_reads(
    client: redis.Redis, server: EmbeddedServer, trades: Some
) -> None:
    STOP.clear()
    batches = [(KEY, trades(first, first + 9)) for first in range(1, 101, 10)]
    flow = Dataflow("publish")
    items = op.input("in", flow, TestingSource(batches))
    op.output("redis", items, RedisSink(RedisConfig(url=server.url)))
    run_main(flow)

    source = StreamSource(server.url, [TRADES])
    part = source.build_part("s", TRADES, None)
    first = part.next_batch()
    assert ids([entry for _, entry in first]) == list(range(1, 101))
    assert part.next_batch() == []
    again = source.build_part("s", TRADES, first[49][1].id)
    assert ids([entry for _, entry in again.next_batch()]) == list(range(51, 101))
    STOP.set()
    out: list[tuple[str, Entry]] = []
    reading = Dataflow("read")
    op.output("out", op.input("in", reading, source), TestingSink(out))
    run_main(reading)
    STOP.clear()
    part.close()
    again.close()


def test_a_source_of_a_stranger_is_refused(server: EmbeddedServer) -> None:
    with pytest.raises(ConfigError, match="no stream of ours"):
        StreamSource(server.url, ["other"])
