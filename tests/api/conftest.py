"""A real server, a lake that the project's own writer wrote, and the API over both."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis

from api.services import Services, make_services
from config.settings import Settings, load
from connectors.arrowlog.journal import Journal
from connectors.parquet.config import LakeConfig
from connectors.parquet.writer import LakeWriter
from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer, ensure, stop
from connectors.redis.writer import Writer

T = TypeVar("T")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("redis")
    yield path
    stop(path)


@pytest.fixture(scope="module")
def server(folder: Path) -> EmbeddedServer:
    return ensure(folder)


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, decode_responses=True, protocol=2) as found:
        found.flushall()
        yield found


class Market:
    """Where a test puts records: into files, into the log, into Redis."""

    def __init__(self, url: str, folder: Path) -> None:
        self.settings: Settings = load(
            env={},
            dotenv=None,
            overrides={
                "redis": {"url": url},
                "lake": {"path": str(folder / "lake"), "partitions": 1},
                "recording": {"path": str(folder / "recordings")},
                "state_dir": str(folder / "state"),
                "ml": {"registry": str(folder / "models")},
            },
        )
        self.lake = folder / "lake"

    def files(self, *records: object, **config: int) -> None:
        """Put records into files."""
        writer = LakeWriter(LakeConfig(path=self.lake, **config))
        for record in records:
            writer.write(record)
        writer.flush_all()

    def log(self, *records: object) -> None:
        """Put records into the log of a writer that died."""
        journal = Journal(self.lake / ".log" / "lake-00", service="lake")
        writer = LakeWriter(LakeConfig(path=self.lake), journal)
        writer.begin("ab12")
        for record in records:
            writer.write(record)
        writer.snapshot()
        journal.close()

    def publish(self, *records: Any) -> None:  # noqa: ANN401 - records of any kind
        """Put records into Redis."""
        writer = Writer(RedisConfig(url=self.settings.redis.url))
        writer.publish(records)
        assert writer.flush(10)
        writer._hang_up()

    def run(self, work: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
        """Run something with the services of an app."""

        async def whole() -> T:
            own = make_services(self.settings)
            try:
                return await work(own)
            finally:
                await own.bus.aclose()

        return asyncio.run(whole())


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
