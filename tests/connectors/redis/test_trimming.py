"""Trimming that takes something from a reader is said, once."""

import logging
from collections.abc import Callable

import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer
from connectors.redis.keys import stream_key
from connectors.redis.link import Link
from connectors.redis.trimming import EVERY_S, TrimWatch
from core.market.trades import Trades

Some = Callable[..., Trades]
NAME = stream_key("binance:BTCUSDT", "trade")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, "cryptotools.redis")

    def texts() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return texts


def fill(client: redis.Redis, first: int, last: int, keep: int) -> None:
    for n in range(first, last + 1):
        client.xadd(NAME, {"id": str(n)}, id=f"{1_000 * n}-{n}", maxlen=keep, approximate=False)


def test_a_group_that_lost_entries_is_named_once_for_each_loss(
    client: redis.Redis, server: EmbeddedServer, told: Callable[[], list[str]]
) -> None:
    link = Link(RedisConfig(url=server.url))
    watch = TrimWatch()
    client.delete(NAME)
    fill(client, 1, 10, 100)
    client.xgroup_create(NAME, "slow", id="0")
    client.xreadgroup("slow", "one", {NAME: ">"}, count=4)
    watch.look(link, [NAME], 0.0)
    assert told() == []
    fill(client, 11, 30, 20)
    watch.look(link, [NAME], 1.0)
    assert told() == []  # not yet time
    watch.look(link, [NAME], EVERY_S)
    first, second = told()
    assert first.startswith(f"6 entries of {NAME} went by trimming before group slow")
    assert second.startswith(f"{NAME} holds the last 19 s only")
    watch.look(link, [NAME], 2 * EVERY_S)
    assert told() == []
    fill(client, 31, 35, 20)
    watch.look(link, [NAME], 3 * EVERY_S)
    assert [text[:10] for text in told()] == ["11 entries"]
    link.close()
    client.delete(NAME)
