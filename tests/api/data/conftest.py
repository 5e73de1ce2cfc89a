"""A real server, a lake that the project's own writer wrote, and the API over both."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis

from config.settings import Settings
from connectors.redis.embedded import EmbeddedServer
from tests.api.data.markets import Market, Serve, Server


@pytest.fixture
def market(client: redis.Redis, server: EmbeddedServer, tmp_path: Path) -> Market:
    return Market(server.url, tmp_path)


@pytest.fixture
def markets(
    client: redis.Redis, server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Market]:
    """Return what makes a market in a folder of its own, with an empty Redis."""

    def make() -> Market:
        client.flushall()
        return Market(server.url, tmp_path_factory.mktemp("market"))

    return make


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(settings: Settings) -> httpx.Client:
        servers.append(Server(settings))
        return servers[-1].client

    yield start
    for server in servers:
        server.end()
