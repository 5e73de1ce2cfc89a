"""Reading back: which streams there are, the newest entries, what comes."""

from collections.abc import Callable

import pytest
import redis

from connectors.redis.codec import Entry
from connectors.redis.embedded import EmbeddedServer
from connectors.redis.keys import REGISTRY, stream_key
from connectors.redis.reader import Reader
from connectors.redis.writer import Writer
from core.market.errors import ServiceError
from core.market.events import Gap
from core.market.trades import Trades

KEY, OTHER = "binance:BTCUSDT", "binance:ETHUSDT"
TRADES, OTHERS = stream_key(KEY, "trade"), stream_key(OTHER, "trade")
Some = Callable[..., Trades]
Make = Callable[..., Writer]


@pytest.fixture
def reader(client: redis.Redis, server: EmbeddedServer) -> Reader:
    return Reader(server.url)


def ids(entries: list[Entry]) -> list[int]:
    return [int(entry.fields["id"]) for entry in entries]


@pytest.mark.parametrize("registry", [True, False])
def test_streams_are_found_with_and_without_the_registry(
    client: redis.Redis, reader: Reader, writer: Make, trades: Some, registry: bool
) -> None:
    writer().publish([trades(1, 5), trades(1, 5, OTHER), Gap(KEY, 1, 1, 1, 1, "gone")])
    client.set("md:{x:y}:trade:else", "not ours")
    assert client.smembers(REGISTRY) == {TRADES, OTHERS, stream_key(KEY, "event")}
    if registry:
        client.xadd("md:{x:y}:trade", {"not": "in it"})
    else:
        client.delete(REGISTRY)
    assert reader.discover() == sorted([TRADES, OTHERS, stream_key(KEY, "event")])
    assert reader.discover({"trade"}) == [TRADES, OTHERS]
    assert reader.discover({"trade"}, symbols={"ETHUSDT"}) == [OTHERS]
    assert reader.discover(symbols={KEY}) == [stream_key(KEY, "event"), TRADES]
    assert reader.discover({"kline"}) == []
    reader.close()


def test_the_latest_of_a_kind_are_those_of_all_its_streams(
    client: redis.Redis, reader: Reader, writer: Make, trades: Some
) -> None:
    writer().publish([trades(1, 50), trades(48, 52, OTHER)])
    assert ids(reader.newest([TRADES], 3)) == [48, 49, 50]
    assert ids(reader.latest("trade", 4)) == [50, 50, 51, 52]
    assert ids(reader.latest("trade", 2, symbols={"BTCUSDT"})) == [49, 50]
    assert reader.latest("trade", 0) == reader.latest("kline", 5) == []
    reader.close()


def test_following_brings_what_comes_later(
    client: redis.Redis, reader: Reader, writer: Make, trades: Some
) -> None:
    one = writer()
    one.publish([trades(1, 5)])
    since = {TRADES: reader.last_id(TRADES)}
    pages = reader.follow(since)
    one.publish([trades(6, 9)])
    assert ids(next(pages)) == [6, 7, 8, 9]
    since[OTHERS] = "0-0"
    one.publish([trades(7, 7, OTHER), trades(10, 10)])
    assert ids(next(pages)) == [7, 10]
    assert next(pages) == []
    reader.close()


def test_following_nothing_does_not_spin(client: redis.Redis, server: EmbeddedServer) -> None:
    waits: list[float] = []
    reader = Reader(server.url, sleep=waits.append)
    assert next(reader.follow({})) == []
    assert waits == [1.0]
    reader.close()


@pytest.mark.parametrize("url", ["unix:///nowhere/at/all.sock", "nonsense"])
def test_an_address_where_nobody_is_says_so(url: str) -> None:
    with pytest.raises(ServiceError, match="redis") as caught:
        Reader(url)
    assert "REDIS_URL" in caught.value.hint


def test_an_error_while_reading_is_explained(client: redis.Redis, reader: Reader) -> None:
    client.set(TRADES, "no stream")
    with pytest.raises(ServiceError, match="wrong kind of value"):
        reader.newest([TRADES], 1)
    with pytest.raises(ServiceError, match="wrong kind of value"):
        next(reader.follow({TRADES: "0-0"}))
    reader.close()


def test_all_that_a_stream_holds_is_read_page_by_page(
    client: redis.Redis, reader: Reader, writer: Make, trades: Some
) -> None:
    writer().publish([trades(1, 10_001)])
    assert ids(list(reader.entries(TRADES))) == list(range(1, 10_002))
    assert list(reader.entries(OTHERS)) == []
    assert client.xlen(TRADES) == 10_001
    reader.close()
