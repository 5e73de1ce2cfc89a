"""What tests of many parts stand on: a real server, and records to put there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer, ensure, stop
from connectors.redis.writer import Writer
from core.market.trades import Trades

_KEY = "binance:BTCUSDT"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder of the module's server, which is ended with it."""
    path = tmp_path_factory.mktemp("redis")
    yield path
    stop(path)


@pytest.fixture
def server(folder: Path) -> EmbeddedServer:
    """Return a server; the next test has one again, should this one end it."""
    return ensure(folder)


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    """Return a client of an empty server."""
    with redis.Redis.from_url(server.url, decode_responses=True, protocol=2) as found:
        found.flushall()
        yield found


@pytest.fixture
def writer(client: redis.Redis, server: EmbeddedServer) -> Iterator[Callable[..., Writer]]:
    """Make writers, settings as they say."""
    made: list[Writer] = []

    def make(**config: float | None) -> Writer:
        found = Writer(RedisConfig.model_validate({"url": server.url, **config}))
        made.append(found)
        return found

    yield make
    for one in made:
        one._hang_up()


@pytest.fixture(scope="session")
def trades() -> Callable[..., Trades]:
    """Make trades of a range of ids, 1.5 ms apart."""

    def make(first: int, last: int, key: str = _KEY) -> Trades:
        ids = np.arange(first, last + 1, dtype=np.int64)
        return Trades(
            key, 2, 5, ids, 1_723_161_600_000_000 + ids % 1_000_000 * 1500,
            6_183_763 + ids % 7, 2000 + ids % 3, ids % 2 == 0,
        )  # fmt: skip

    return make
