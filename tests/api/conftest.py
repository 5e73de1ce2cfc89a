"""An API on a real Redis, and a flow that obeys it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import redis

from config.settings import Settings
from connectors.redis.embedded import ensure, stop
from tests.api.double import FlowDouble, settings_at
from tests.api.served import client


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    yield ensure(folder).url
    stop(folder)


@pytest.fixture
def bus(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, decode_responses=True) as found:
        found.flushall()
        yield found


@pytest.fixture
def settings(bus: redis.Redis, url: str, tmp_path: Path) -> Settings:
    return settings_at(url, tmp_path)


@pytest.fixture
def flow(settings: Settings) -> Iterator[FlowDouble]:
    found = FlowDouble(settings).start()
    yield found
    found.stop()


@pytest.fixture
def api(settings: Settings) -> Iterator[httpx.Client]:
    with client(settings) as found:
        yield found


@pytest.fixture
def api_with(settings: Settings) -> Iterator[Callable[..., httpx.Client]]:
    """Serve with other settings of the API."""
    with ExitStack() as stack:

        def make(**config: object) -> httpx.Client:
            own = settings.api.model_copy(update=config)
            return stack.enter_context(client(settings.model_copy(update={"api": own})))

        yield make
