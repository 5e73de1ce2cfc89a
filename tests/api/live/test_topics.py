import pytest

from api.live.topics import MOST, Names, check_number, read_topics
from api.problems import ProblemError
from connectors.redis.keys import StreamName


def test_topics_are_written_one_way() -> None:
    asked = ["klines/btcusdt/1m", " trades/BTCUSDT", "klines/Binance:btcusdt/*", "ticker", "", "*"]
    assert read_topics(asked[:-1]) == {
        "klines/BTCUSDT/1m", "trades/BTCUSDT", "klines/binance:BTCUSDT/*", "ticker",
    }  # fmt: skip


@pytest.mark.parametrize(
    "topic",
    ["*", "klines", "klines/BTCUSDT", "klines/BTCUSDT/7m", "klines/B{}/1m", "signals/BTCUSDT",
     "trades/", "nonsense"],
)  # fmt: skip
def test_a_topic_that_is_none_is_named_with_those_there_are(topic: str) -> None:
    with pytest.raises(ProblemError) as raised:
        read_topics([topic])
    assert raised.value.status == 422
    assert raised.value.field == "topics"
    assert f"`{topic}`" in raised.value.detail
    assert "klines/{symbol}/{interval}" in raised.value.hint


def test_there_may_not_be_too_many() -> None:
    check_number(MOST)
    with pytest.raises(ProblemError, match="201 topics, at most 200"):
        read_topics([f"trades/SYMBOL{n}" for n in range(MOST + 1)])


def test_spot_has_the_short_name_and_a_name_of_its_own_is_short_too() -> None:
    names = Names(["binance-usdm:BTCUSDT", "binance:BTCUSDT", "binance-usdm:XUSDT"])
    assert names.of("binance:BTCUSDT") == "BTCUSDT"
    assert names.of("binance-usdm:BTCUSDT") == "binance-usdm:BTCUSDT"
    assert names.of("binance-usdm:XUSDT") == "XUSDT"


def test_a_stream_is_found_by_name_key_and_wildcard() -> None:
    names = Names(["binance:BTCUSDT", "binance-usdm:BTCUSDT"])
    route = names.route(StreamName("binance:BTCUSDT", "forming", "1m"))
    assert route is not None
    assert route.topic == "klines/BTCUSDT/1m"
    assert set(route.patterns) == {
        "klines/BTCUSDT/1m", "klines/BTCUSDT/*", "klines/*/1m", "klines/*/*",
        "klines/binance:BTCUSDT/1m", "klines/binance:BTCUSDT/*",
    }  # fmt: skip
    futures = names.route(StreamName("binance-usdm:BTCUSDT", "trade"))
    assert futures is not None
    assert set(futures.patterns) == {"trades/binance-usdm:BTCUSDT", "trades/*"}
    assert names.route(StreamName("binance:BTCUSDT", "quarantine")) is None
