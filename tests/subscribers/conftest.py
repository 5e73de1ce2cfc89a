"""A real server, publishers of real records, and consumers that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer, ensure, stop
from connectors.redis.writer import Writer
from core.market.trades import Trades
from subscribers.consumer import Consumer

KEY = "binance:BTCUSDT"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("redis")
    yield path
    stop(path)


@pytest.fixture
def server(folder: Path) -> EmbeddedServer:
    return ensure(folder)


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, decode_responses=True, protocol=2) as found:
        found.flushall()
        yield found


@pytest.fixture
def writer(client: redis.Redis, server: EmbeddedServer) -> Iterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def make(**config: float | None) -> Writer:
        found = Writer(RedisConfig.model_validate({"url": server.url, **config}))
        made.append(found)
        return found

    yield make
    for one in made:
        one._hang_up()


@pytest.fixture
def consumer(server: EmbeddedServer, client: redis.Redis) -> Iterator[Callable[..., Consumer]]:
    """Make consumers of the group `g`, taken over from at once where not said otherwise."""
    made: list[Consumer] = []

    def make(name: str | None = "a", **options: Any) -> Consumer:  # noqa: ANN401 - as Consumer takes them
        found = Consumer(server.url, "g", name=name, **{"min_idle": 30.0, **options})
        made.append(found)
        return found

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def trades() -> Callable[..., Trades]:
    """Make trades of a range of ids, 1.5 ms apart."""

    def make(first: int, last: int, key: str = KEY) -> Trades:
        ids = np.arange(first, last + 1, dtype=np.int64)
        return Trades(
            key, 2, 5, ids, 1_723_161_600_000_000 + ids % 1_000_000 * 1500,
            6_183_763 + ids % 7, 2000 + ids % 3, ids % 2 == 0,
        )  # fmt: skip

    return make
