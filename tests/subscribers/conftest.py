"""A real server, publishers of real records, and consumers that end with their test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from connectors.redis.embedded import EmbeddedServer
from subscribers.consumer import Consumer

KEY = "binance:BTCUSDT"


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
