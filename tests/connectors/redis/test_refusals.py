"""Servers that do not let us in, or not do something."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer
from connectors.redis.keys import stream_key
from connectors.redis.writer import Writer
from core.market.errors import ServiceError
from core.market.events import Gap
from core.market.trades import Trades

KEY = "binance:BTCUSDT"
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


def ids(client: redis.Redis, name: str = TRADES) -> list[int]:
    found: Any = client.xrange(name)
    return [int(fields["id"]) for _, fields in found]


def drained(writer: Writer) -> None:
    assert writer.flush(20), "the backlog does not go away"


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
    client: redis.Redis, limited: str, trades: Some, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    one = Writer(RedisConfig(url=limited, hold_seconds=0), clock=clock, sleep=clock.sleep)
    one.publish([trades(1, 3)])
    client.acl_setuser("publisher", enabled=True, passwords=["-secret", "+other"])
    client.client_kill_filter(user="publisher")
    with caplog.at_level(logging.DEBUG, "cryptotools.redis"):
        for n in range(4, 10):
            clock.now += 5.0
            one.publish([trades(n, n)])
    assert one.backlog == 6
    assert len(caplog.records) == 1
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
