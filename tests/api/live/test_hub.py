"""The hub by itself: outages of Redis, one slot per command, how many clients there may be."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from redis.asyncio import Redis

from api.live.hub import Hub
from api.live.session import Session
from api.live.topics import read_topics
from api.problems import ProblemError
from connectors.redis.binary import find_binary
from connectors.redis.board import field
from connectors.redis.embedded import EmbeddedServer, ensure, stop
from connectors.redis.keys import FLOWS
from core.market.errors import ServiceError
from tests.api.live.conftest import KEY, Publisher

DAY_MS = 86_400_000


@contextlib.asynccontextmanager
async def running(url: str, most: int = 10, *, there: bool = True) -> AsyncIterator[Hub]:
    bus = Redis.from_url(url, decode_responses=True, protocol=2, socket_timeout=5)
    hub = Hub(bus, most)
    try:
        async with hub.running():
            if there:
                await begun(hub)
            yield hub
    finally:
        await bus.aclose()


async def begun(hub: Hub) -> None:
    async with asyncio.timeout(30):
        while not hub.ready:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def hear(session: Session) -> dict[str, Any]:
    """Return the next frame."""
    async with asyncio.timeout(30):
        while True:
            body = await session.frame()
            if body is not None:
                return dict(orjson.loads(body))
            await session.news()


async def hear_until(session: Session, is_so: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not is_so(frame := await hear(session)):
            pass
        return frame


@pytest.fixture
def publisher(client: redis.Redis) -> Publisher:
    return Publisher(client)


def test_clients_stay_while_redis_is_away_are_told_and_miss_nothing(
    folder: Path, server: EmbeddedServer, publisher: Publisher
) -> None:
    async def go() -> None:
        async with (
            running(server.url) as hub,
            hub.session(read_topics(["signals", "status"]), None) as session,
        ):
            publisher.add("signal")
            await hear_until(session, lambda frame: frame["events"])
            await asyncio.to_thread(stop, folder)
            away = await hear_until(session, lambda f: state(f) == "away")
            assert away["latest"]["status"]["redis"]["reason"]
            await asyncio.to_thread(ensure, folder)
            publisher.add("signal")
            told: list[str] = []
            live = False
            while not (told and live):
                frame = await hear(session)
                told += [event["fields"]["n"] for event in frame["events"]]
                live = live or state(frame) == "live"
                assert "reset" not in frame
            assert told == ["2"]

    def state(frame: dict[str, Any]) -> str:
        return str(frame["latest"].get("status", {}).get("redis", {}).get("state", ""))

    asyncio.run(go())


def test_it_starts_without_redis_and_goes_on_when_it_comes(
    folder: Path, server: EmbeddedServer, client: redis.Redis
) -> None:
    async def go() -> None:
        await asyncio.to_thread(stop, folder)
        async with running(server.url, there=False) as hub:
            async with hub.session(read_topics(["signals", "status"]), None) as session:
                first = await hear(session)
                assert first["cursor"] is None
                await asyncio.to_thread(ensure, folder)
                publisher = Publisher(client)
                await begun(hub)
                publisher.add("signal")
                frame = await hear_until(session, lambda frame: frame["events"])
                assert frame["events"][0]["id"] == frame["cursor"]
            assert hub.clients == 0

    asyncio.run(go())


def test_there_are_no_more_clients_than_may_be(server: EmbeddedServer) -> None:
    async def go() -> None:
        async with running(server.url, most=1) as hub:
            async with hub.session(frozenset({"signals"}), None):
                with pytest.raises(ProblemError, match="1 live clients") as raised:
                    await hub.session(frozenset(), None).__aenter__()
                assert raised.value.status == 503
            async with hub.session(frozenset({"signals"}), None):
                assert hub.clients == 1

    asyncio.run(go())


def test_nobody_asks_for_what_nobody_wants(server: EmbeddedServer, publisher: Publisher) -> None:
    async def go() -> None:
        publisher.trade(1)
        publisher.kline("forming", 1)
        async with running(server.url) as hub:
            assert hub._market.streams == 0
            async with hub.session(read_topics(["trades/*"]), None) as session:
                await hear_until(session, lambda frame: frame["tape"])
                assert hub._market.streams == 1
                await session.subscribe(["klines/BTCUSDT/*"])
                assert (await hear(session))["latest"]["klines/BTCUSDT/1m"]["open_ms"] == "60000"
                session.unsubscribe(["trades/*"])
                await hub._market.prime()
                assert hub._market.streams == 1
            await hub._market.prime()
            assert hub._market.streams == 0
            assert not hub._interest._by_pattern
            assert not hub._interest._held

    asyncio.run(go())


def test_a_ticker_says_how_a_symbol_is(
    server: EmbeddedServer, client: redis.Redis, publisher: Publisher
) -> None:
    async def go() -> None:
        now = time.time()
        day = DAY_MS // 60_000
        publisher.kline("kline", 0, close="80")
        name = publisher.kline("kline", 1, close="90")
        client.delete(name)  # ids are times of the data, as a flow writes them
        for minute, close in ((0, "80"), (1, "90"), (2, "95")):
            row = {"open_ms": str(minute * 60_000), "close_ms": str(minute * 60_000 + 59_999)}
            fields: dict[Any, Any] = {**row, "close": close}
            client.xadd(name, fields, id=f"{minute * 60_000 + 59_999}-{minute}")
        publisher.add("trade", id="1", time_us=str((day + 2) * 60_000_000 + 5), price="99")
        tell(now, lag_s=0.1, gaps_open=1)
        async with (
            running(server.url) as hub,
            hub.session(read_topics(["ticker"]), None) as session,
        ):
            first = await hear_until(session, lambda frame: frame["latest"])
            quiet = first["latest"]["ticker"]["binance:QUIETBTC"]
            assert (quiet["symbol"], quiet["price"], quiet["rate"]) == ("QUIETBTC", None, None)
            assert quiet["state"] == "live"
            ticker = first["latest"]["ticker"][KEY]
            assert (ticker["price"], ticker["change_24h"]) == ("99", "10.00")
            assert (ticker["state"], ticker["gaps_open"], ticker["lag_s"]) == ("repairing", 1, 0.1)
            for _ in range(50):
                publisher.add("trade", id="2", time_us=str((day + 2) * 60_000_000 + 6), price="98")
            tell(now, lag_s=0.2, gaps_open=0)
            frame = await hear_until(session, lambda f: one(f).get("state") == "live")
            assert one(frame)["price"] == "98"
            tell(now, lag_s=11.0, gaps_open=0)
            await hear_until(session, lambda f: one(f).get("state") == "stale")

    def one(frame: dict[str, Any]) -> dict[str, Any]:
        return dict(frame["latest"].get("ticker", {}).get(KEY, {}))

    def tell(now: float, **health: float) -> None:
        untraded = {"binance:QUIETBTC": {"lag_s": 0.1, "gaps_open": 0}}
        account = {
            "written": now + 3600, "state": "running", "pid": 1,
            "symbols": {KEY: health, **untraded}, "links": {"binance:shard-0": 1}, "rows": {},
            "redis": None, "rss_bytes": 0, "disk": {"path": ".", "free_bytes": 1 << 40},
            "wanted": [],
        }  # fmt: skip
        client.hset(FLOWS, field("main", 0), orjson.dumps(account).decode())

    asyncio.run(go())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A cluster of one server, which refuses commands over several slots like any."""
    try:
        binary = find_binary()
    except ServiceError as error:
        pytest.skip(str(error))
    path = tmp_path / "s"
    command = [str(binary.path), "--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path),
               "--cluster-enabled", "yes", "--save", ""]  # fmt: skip
    log = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"unix://{path}"
        finally:
            process.terminate()


def test_on_a_cluster_no_command_names_streams_of_several_slots(
    cluster: str, until: Callable[..., None]
) -> None:
    client = redis.Redis.from_url(cluster, decode_responses=True, protocol=2)

    def up() -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(client.cluster("INFO")) and bool(client.set("x", "1"))
        return False

    def listens() -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(client.ping())
        return False

    until(listens, "the server")
    client.cluster("ADDSLOTS", *range(16_384))
    until(up, "the cluster")
    publisher = Publisher(client)

    async def go() -> None:
        topics = read_topics(["klines/*/1m", "trades/*", "signals", "equity", "ticker"])
        async with running(cluster) as hub, hub.session(topics, None) as session:
            await hear_until(session, lambda frame: frame["cursor"])
            seen: set[str] = set()
            for n, symbol in enumerate(("A1", "B1", "C1")):
                key = f"binance:{symbol}"
                publisher.trade(n, key=key)
                publisher.kline("forming", 1, key=key)
                publisher.add("signal", key=key)
                publisher.add("equity", key=key, instance="rsi")
            expected = {"signals", "equity", "ticker"}
            expected |= {f"klines/{s}/1m" for s in ("A1", "B1", "C1")}
            expected |= {f"trades/{s}" for s in ("A1", "B1", "C1")}
            while seen != expected:
                frame = await hear(session)
                seen |= {event["topic"] for event in frame["events"]}
                seen |= set(frame["latest"]) | set(frame["tape"])
            assert not hub.away

    asyncio.run(go())
    client.close()
