"""Live push end to end: real clients of a real process, which is stopped, killed and flooded."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
import redis
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.app import create_app
from api.live.feed import FEED
from client.live import Frame, LiveError, watch
from config.settings import Settings
from connectors.redis.embedded import EmbeddedServer, ensure
from tests.api.live.clients import WAIT_S, hear, hear_nothing, listening, say, socket, sse
from tests.api.live.conftest import KEY, Api, Publisher

TOPICS = ("signals", "fills", "klines/*/1m")


@pytest.fixture(scope="module")
def server(folder: Path) -> EmbeddedServer:
    return ensure(folder)


@pytest.fixture(scope="module")
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, decode_responses=True, protocol=2) as found:
        yield found


@pytest.fixture(scope="module")
def publisher(client: redis.Redis) -> Publisher:
    return Publisher(client)


@pytest.fixture(scope="module")
def api(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    found = Api(server.url, tmp_path_factory.mktemp("api"))
    found.start()
    yield found
    found.end(signal.SIGKILL)


async def gather_events(frames: AsyncIterator[Frame], wanted: int, begun: asyncio.Event) -> Any:  # noqa: ANN401 - events and resets
    events, resets = [], 0
    async with asyncio.timeout(60):
        async for frame in frames:
            begun.set()
            events += frame.events
            resets += frame.reset
            if len(events) >= wanted:
                return events, resets
    return events, resets


def test_nothing_is_lost_or_doubled_when_the_api_is_stopped_and_killed(
    api: Api, publisher: Publisher
) -> None:
    total = 900
    published = threading.Event()

    def publish() -> None:
        for n in range(1, total + 1):
            if n % 3 == 0:
                publisher.kline("kline", n, key=f"binance:S{n % 5}USDT")
            else:
                publisher.add("signal" if n % 3 == 1 else "fill")
            time.sleep(0.005)
            if n == total // 2:
                published.set()

    async def go() -> None:
        begun = [asyncio.Event(), asyncio.Event()]
        tasks = [
            asyncio.create_task(gather_events(watch(api.url, TOPICS), total, begun[0])),
            asyncio.create_task(gather_events(sse(api.url, ",".join(TOPICS)), total, begun[1])),
        ]
        for one in begun:
            await asyncio.wait_for(one.wait(), WAIT_S)
        publishing = asyncio.create_task(asyncio.to_thread(publish))
        await asyncio.to_thread(restart, signal.SIGTERM)
        await asyncio.to_thread(published.wait, WAIT_S)
        await asyncio.to_thread(restart, signal.SIGKILL)
        await publishing
        (ours, resets), (theirs, more) = await asyncio.gather(*tasks)
        assert not resets
        assert not more
        assert [e.id for e in ours] == [e.id for e in theirs]
        assert len({e.id for e in ours}) == total
        for topic in {e.topic for e in ours}:
            numbers = [int(e.fields["n"]) for e in ours if e.topic == topic]
            assert numbers == list(range(1, len(numbers) + 1)), topic

    def restart(how: signal.Signals) -> None:
        api.end(how)
        api.start()

    asyncio.run(go())


def test_what_stands_comes_first_then_what_changes_in_its_order(
    api: Api, publisher: Publisher
) -> None:
    publisher.kline("kline", 1)
    publisher.kline("forming", 2, close="5")
    publisher.add("equity", instance="rsi", equity="10")
    publisher.add("equity", instance="macd", equity="20")
    publisher.add("equity", instance="rsi", equity="11")
    for n in range(1, 61):
        publisher.trade(n, price=str(n))
    asked = ("klines/*/1m", "equity", "trades/BTCUSDT", "ticker", "status")

    async def go() -> None:
        while True:  # until the process has found the streams
            async with socket(api.url, *asked) as one:
                first = await hear(one)
                if len(first["latest"]) == 4 and first["tape"]:
                    break
        async with socket(api.url, *asked) as one:
            first = await hear(one)
            latest = first["latest"]
            assert first["n"] == 1
            assert latest["klines/BTCUSDT/1m"]["close"] == "5"
            assert latest["klines/BTCUSDT/1m"]["key"] == KEY
            assert latest["equity"][KEY]["rsi"]["equity"] == "11"
            assert latest["equity"][KEY]["macd"]["equity"] == "20"
            assert latest["ticker"][KEY]["price"] == "60"
            assert latest["ticker"][KEY]["state"] == "stale", "nobody tells of this symbol"
            assert latest["status"] == {"redis": {"state": "live"}, "flows": {}}
            tape = first["tape"]["trades/BTCUSDT"]
            assert [trade["id"] for trade in tape["trades"]] == [str(n) for n in range(11, 61)]
            publisher.kline("forming", 2, close="6")
            publisher.kline("kline", 2, close="7")
            publisher.kline("forming", 3, close="8")
            shown: list[str] = []
            while "8" not in shown:
                frame = await hear(one)
                shown += [e["fields"]["close"] for e in frame["events"]]
                shown += [k["close"] for t, k in frame["latest"].items() if t.startswith("k")]
            assert shown[-2:] == ["7", "8"], "the close is there before the next bar"

    asyncio.run(go())


def test_symbols_that_come_while_it_runs_are_there_within_a_second(
    api: Api, publisher: Publisher
) -> None:
    async def go() -> None:
        async with socket(api.url, "klines/*/1m", "trades/NEWUSDT", "signals") as one:
            await hear(one)
            publisher.add("signal", key="binance:NEWUSDT")
            publisher.kline("forming", 5, key="binance:NEWUSDT")
            publisher.trade(1, key="binance:NEWUSDT")
            seen: set[str] = set()
            while len(seen) < 3:
                frame = await hear(one)
                seen |= {e["topic"] for e in frame["events"]} | set(frame["latest"])
                seen |= set(frame["tape"])
            assert seen == {"signals", "klines/NEWUSDT/1m", "trades/NEWUSDT"}

    asyncio.run(go())


def test_a_cursor_that_was_trimmed_away_is_told_on_both_transports(
    api: Api, publisher: Publisher, client: redis.Redis, until: Callable[..., None]
) -> None:
    async def go() -> None:
        before = client.xlen(FEED)
        publisher.add("signal")
        await asyncio.to_thread(until, lambda: client.xlen(FEED) == before + 1)
        rows: Any = client.xrevrange(FEED, count=1)
        cursor = str(rows[0][0])
        for _ in range(5):
            publisher.add("signal")
        await asyncio.to_thread(until, lambda: client.xlen(FEED) == before + 6)
        client.xtrim(FEED, maxlen=2, approximate=False)
        api_again()
        async with socket(api.url, "signals", cursor=cursor) as one:
            told = await hear(one)
            while not told.get("reset"):
                told = await hear(one)
            assert told["events"] == []
            assert told["cursor"] > cursor
        async for frame in sse(api.url, "signals", cursor):
            if frame.reset:
                return

    def api_again() -> None:
        api.end()
        api.start()

    asyncio.run(go())


def test_one_who_does_not_acknowledge_gets_two_frames_and_then_the_newest(
    api: Api, publisher: Publisher
) -> None:
    async def go() -> None:
        async with socket(api.url, "klines/ACKUSDT/1m", "signals") as one:
            first = await hear(one, ack=False)
            begin = publisher.count("signal")
            publisher.add("signal")
            second = await hear(one, ack=False)
            assert (first["n"], second["n"]) == (1, 2)
            for close in range(50):
                publisher.kline("forming", 1, key="binance:ACKUSDT", close=str(close))
            publisher.add("signal")
            await hear_nothing(one)
            for n in (0, -1, 3, 99):  # not sent, or not yet
                await say(one, op="ack", n=n)
            await hear_nothing(one)
            await say(one, op="ack", n=1)
            third = await hear(one, ack=False)
            assert third["latest"]["klines/ACKUSDT/1m"]["close"] == "49"
            assert [event["fields"]["n"] for event in third["events"]] == [str(begin + 2)]
            await say(one, op="ack", n=1)  # again
            publisher.add("signal")
            await hear_nothing(one)
            await say(one, op="ack", n=3)
            assert (await hear(one))["events"][0]["fields"]["n"] == str(begin + 3)

    asyncio.run(go())


def test_topics_come_and_go_within_a_connection(api: Api, publisher: Publisher) -> None:
    async def go() -> None:
        async with socket(api.url, "signals") as one:
            await hear(one)
            await say(one, op="subscribe", topics=["fills"])
            await say(one, op="subscribe", topics=["nonsense", "events"])
            wrong = await hear(one)
            assert wrong["error"]["status"] == 422
            assert "nonsense" in wrong["error"]["detail"]
            publisher.add("fill")
            publisher.add("event")
            assert (await hear_events(one))[0]["topic"] == "fills"
            await say(one, op="unsubscribe", topics=["fills"])
            publisher.add("fill")
            publisher.add("signal")
            found = await hear_events(one)
            while found[-1]["topic"] != "signals":  # the one before it may have been on its way
                found += await hear_events(one)
            assert len(found) <= 2

    async def hear_events(one: ClientConnection) -> list[dict[str, Any]]:
        while True:
            frame = await hear(one)
            if frame["events"]:
                return list(frame["events"])

    asyncio.run(go())


BAD: list[tuple[object, int]] = [
    ("no json", 1008),
    (b"bytes", 1008),
    ({"op": "subscribe", "topics": []}, 1008),
    ({"op": "dance"}, 1008),
    ({"op": "hello", "topics": ["nonsense"]}, 1008),
    ({"op": "hello", "topics": [f"trades/S{n}" for n in range(300)]}, 1008),
    ({"op": "hello", "topics": ["signals"], "cursor": "x"}, 1008),
    ({"op": "hello", "topics": ["x" * 70_000]}, 1009),
]


def test_what_cannot_be_understood_is_answered_and_ends_the_connection(api: Api) -> None:
    address = api.url.replace("http", "ws") + "/api/v1/live/ws"

    async def go(message: object, code: int) -> None:
        async with connect(address) as one:
            raw = message if isinstance(message, str | bytes) else orjson.dumps(message).decode()
            await one.send(raw)
            told = await hear(one)
            assert told["error"]["detail"]
            with pytest.raises(ConnectionClosed) as raised:
                await hear(one)
            assert raised.value.rcvd is not None
            assert raised.value.rcvd.code == code, message

    for message, code in BAD:
        asyncio.run(go(message, code))


def test_sse_says_what_is_wrong_as_a_problem(api: Api) -> None:
    for query in ({"topics": "nonsense"}, {"topics": ""}, {"topics": "signals", "cursor": "x"}):
        answer = httpx.get(f"{api.url}/api/v1/live/sse", params=query)
        assert answer.status_code == 422, query
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["hint"]


def test_pages_of_other_origins_may_not_connect(api: Api) -> None:
    async def go(origin: str) -> None:
        async with socket(api.url, "signals", additional_headers={"Origin": origin}) as one:
            await hear(one)

    asyncio.run(go(api.url))
    with pytest.raises(InvalidStatus):
        asyncio.run(go("https://example.org"))


def test_a_client_in_python_is_told_what_is_wrong(api: Api) -> None:
    async def go() -> None:
        async for _ in watch(api.url, ["nonsense"]):
            pass

    with pytest.raises(LiveError, match="nonsense") as raised:
        asyncio.run(go())
    assert raised.value.status == 422
    assert "hint: there are" in str(raised.value)


def test_clients_that_come_and_go_leave_nothing(
    server: EmbeddedServer, publisher: Publisher, tmp_path: Path
) -> None:
    app = create_app(Settings.model_validate({"redis": {"url": server.url}, "state_dir": tmp_path}))
    hub = app.state.services.live

    async def come_and_go(url: str, n: int) -> None:
        if n % 2:
            async with socket(url, "signals", f"trades/S{n}") as one:
                await hear(one, ack=False)
                publisher.add("signal")
                if n % 3:  # leaves while no frame may be sent
                    await hear(one, ack=False)
            return
        async for _ in sse(url, "ticker,status"):
            return

    async def go() -> None:
        with listening() as found:
            config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=60)
            serving = uvicorn.Server(config)
            task = asyncio.create_task(serving.serve(sockets=[found]))
            url = f"http://127.0.0.1:{found.getsockname()[1]}"
            for _ in range(2):
                await asyncio.gather(*(come_and_go(url, n) for n in range(20)))
            async with asyncio.timeout(WAIT_S):
                while hub.clients:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
            assert not hub._interest._by_pattern
            serving.should_exit = True
            await task

    asyncio.run(go())


def test_a_stop_does_not_wait_for_clients(api: Api, publisher: Publisher) -> None:
    async def go() -> float:
        publisher.add("signal")
        streams = [sse(api.url, "signals") for _ in range(5)]
        for one in streams:
            await anext(one)
        ended = asyncio.create_task(read_to_the_end(api.url))
        async with socket(api.url, "signals") as acking, socket(api.url, "signals") as silent:
            await hear(acking)
            await hear(silent, ack=False)
            ending = asyncio.create_task(asyncio.to_thread(api.end))
            with pytest.raises(ConnectionClosed):
                await hear_all(acking)
            took = await ending
        await ended
        for one in streams:
            await close(one)
        api.start()
        return took

    assert asyncio.run(go()) < 10  # 60 is what it would wait


async def read_to_the_end(url: str) -> None:
    """Read a stream that has to end as it should, not to be torn off."""
    query = {"topics": "signals"}
    async with (
        httpx.AsyncClient(timeout=WAIT_S) as client,
        client.stream("GET", f"{url}/api/v1/live/sse", params=query) as answer,
    ):
        async for _ in answer.aiter_lines():
            pass


async def hear_all(one: ClientConnection) -> None:
    while True:
        await hear(one)


async def close(one: AsyncIterator[Frame]) -> None:
    ending: Callable[[], Awaitable[None]] = one.aclose  # type: ignore[attr-defined]  # it is a generator
    await ending()


def test_a_client_that_reads_nothing_harms_nobody(api: Api, publisher: Publisher) -> None:
    asked = "klines/SLOWUSDT/1m,signals"

    async def go() -> None:
        assert api.process is not None
        process = psutil.Process(api.process.pid)
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port, limit=1)
        writer.write(f"GET /api/v1/live/sse?topics={asked} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await writer.drain()
        grown = before = 0
        first = publisher.count("signal")
        n = 0
        async with socket(api.url, *asked.split(",")) as one:
            await hear(one)
            for turn in range(12):
                for _ in range(100):
                    n += 1
                    publisher.add("signal", reason="x" * 2000)
                    publisher.kline("forming", n, key="binance:SLOWUSDT")
                seen = 0
                while seen < n:
                    events = (await hear(one))["events"]
                    seen = int(events[-1]["fields"]["n"]) - first if events else seen
                rss = process.memory_info().rss
                before = before or (rss if turn == 3 else 0)
                grown = rss - before if before else 0
        assert grown < 24 << 20, "what it does not read does not pile up"
        writer.close()
        del reader

    asyncio.run(go())
