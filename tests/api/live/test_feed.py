"""The merged log: each entry once, in the order of its stream, whoever merges and however often."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from api.live.feed import FEED, POSITIONS, Feed
from api.live.tail import Tail
from connectors.redis.embedded import EmbeddedServer

STREAMS = ("md:{binance:A}:signal", "md:{binance:A}:fill", "md:{binance:B}:signal")

Run = Callable[[Callable[[Redis], Awaitable[None]]], None]


@pytest.fixture
def run(server: EmbeddedServer, client: redis.Redis) -> Run:
    def call(what: Callable[[Redis], Awaitable[None]]) -> None:
        async def connected() -> None:
            bus = Redis.from_url(server.url, decode_responses=True, protocol=2)
            try:
                await bus.flushall()
                await what(bus)
            finally:
                await bus.aclose()

        asyncio.run(connected())

    return call


async def opened(bus: Redis, names: tuple[str, ...] = STREAMS, keep: int = 50_000) -> Feed:
    feed = Feed(bus, keep)
    await feed.open(names, Tail(bus))
    return feed


async def merge(bus: Redis, feed: Feed, count: int = 100, *, crash: bool = False) -> None:
    pages = await Tail(bus).read(feed.since, count=count)
    if pages and not crash:
        await feed.merge(pages)


async def merged(bus: Redis) -> list[tuple[str, str, str]]:
    rows: Any = await bus.xrange(FEED)
    return [
        (f["s"], f.get("i", ""), orjson.loads(f["b"])["n"] if "b" in f else "reset")
        for _, f in rows
    ]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("merge"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("read"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("give"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("restart"), st.integers(0, 2), st.just(0)),
    ),
    max_size=40,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_each_entry_is_there_once_and_in_order_whoever_merges(
    run: Run, steps: list[tuple[str, int, int]]
) -> None:
    async def go(bus: Redis) -> None:
        feeds = [await opened(bus) for _ in range(3)]
        held: list[Any] = [None, None, None]  # what one has read and not handed over yet
        expected: dict[str, list[str]] = {name: [] for name in STREAMS}
        for what, who, number in steps:
            if what == "add":
                name = STREAMS[who]
                for _ in range(number):
                    n = len(expected[name]) + 1
                    expected[name].append(str(n))
                    await bus.xadd(name, {"n": str(n)}, id=f"{1000 + n // 2}-{n}")
            elif what == "merge":
                held[who] = None
                await merge(bus, feeds[who], number)
            elif what == "read":
                held[who] = await Tail(bus).read(feeds[who].since, count=number)
            elif what == "give" and held[who]:
                await feeds[who].merge(held[who])
                held[who] = None
            elif what == "restart":
                feeds[who], held[who] = await opened(bus), None
        for _ in range(len(steps) * 5):
            await merge(bus, feeds[0])
        found = await merged(bus)
        for name in STREAMS:
            assert [n for stream, _, n in found if stream == name] == expected[name]

    run(go)


def test_it_begins_behind_what_there_is_and_takes_new_streams_whole(run: Run) -> None:
    async def go(bus: Redis) -> None:
        await bus.xadd(STREAMS[0], {"n": "old"}, id="5-1")
        first = await opened(bus, STREAMS[:1])
        await bus.xadd(STREAMS[0], {"n": "1"}, id="5-2")
        await bus.xadd(STREAMS[1], {"n": "2"}, id="1-1")  # it comes later, with older times
        later = await opened(bus, STREAMS[:2])
        await merge(bus, later)
        first.follow(STREAMS[:2])
        await merge(bus, first)
        assert sorted(n for _, _, n in await merged(bus)) == ["1", "2"]

    run(go)


def test_one_that_was_away_goes_on_where_the_log_stands(run: Run) -> None:
    async def go(bus: Redis) -> None:
        await opened(bus)
        for n in range(1, 1201):
            await bus.xadd(STREAMS[0], {"n": str(n)}, id=f"1-{n}")
        feed = await opened(bus)
        for _ in range(4):
            await merge(bus, feed, 700)
        assert [n for _, _, n in await merged(bus)] == [str(n) for n in range(1, 1201)]

    run(go)


def test_entries_that_were_trimmed_before_they_were_merged_are_told(run: Run) -> None:
    async def go(bus: Redis) -> None:
        feed = await opened(bus)
        await bus.xadd(STREAMS[0], {"n": "1"}, id="1-1")
        await merge(bus, feed)
        for n in range(2, 6):
            await bus.xadd(STREAMS[0], {"n": str(n)}, id=f"1-{n}")
        await bus.xtrim(STREAMS[0], maxlen=2, approximate=False)
        await bus.xadd(STREAMS[2], {"n": "9"}, id="1-1")
        await bus.xadd(STREAMS[2], {"n": "10"}, id="1-2")
        await bus.xtrim(STREAMS[2], maxlen=1, approximate=False)
        other = await opened(bus)
        await merge(bus, feed)
        await merge(bus, other)  # says it once
        found = await merged(bus)
        assert [n for s, _, n in found if s == STREAMS[0]] == ["1", "reset", "4", "5"]
        assert [n for s, _, n in found if s == STREAMS[2]] == ["reset", "10"]

    run(go)


def test_one_that_is_ahead_of_a_server_that_forgot_goes_back(run: Run) -> None:
    async def go(bus: Redis) -> None:
        feed = await opened(bus)
        for n in (1, 2, 3):
            await bus.xadd(STREAMS[0], {"n": str(n)}, id=f"1-{n}")
        await merge(bus, feed, 1)
        position: Any = await bus.hget(POSITIONS, STREAMS[0])
        log: Any = await bus.xrange(FEED)
        await merge(bus, feed, 1)  # the server forgets this one
        await bus.hset(POSITIONS, STREAMS[0], position)
        await bus.delete(FEED)
        await bus.xadd(FEED, log[0][1], id=log[0][0])
        await merge(bus, feed)
        assert feed.since[STREAMS[0]] == "1-1", "nothing was taken"
        await merge(bus, feed)
        assert [n for _, _, n in await merged(bus)] == ["1", "2", "3"]

    run(go)


def test_a_stream_that_was_deleted_begins_anew_and_that_is_told(run: Run) -> None:
    async def go(bus: Redis) -> None:
        feed = await opened(bus)
        await bus.xadd(STREAMS[0], {"n": "1"}, id="9-1")
        await merge(bus, feed)
        await bus.delete(STREAMS[0])
        await bus.xadd(STREAMS[0], {"n": "2"}, id="5-1")
        again = await opened(bus)
        await merge(bus, again)
        assert [n for _, _, n in await merged(bus)] == ["1", "reset", "2"]

    run(go)


def test_the_log_is_bounded(run: Run) -> None:
    async def go(bus: Redis) -> None:
        feed = await opened(bus, keep=200)
        for n in range(1, 1001):
            await bus.xadd(STREAMS[0], {"n": str(n)}, id=f"1-{n}")
        for _ in range(3):
            await merge(bus, feed, 500)
        assert 200 <= await bus.xlen(FEED) <= 300

    run(go)


def test_nothing_is_merged_into_a_log_that_has_not_begun(run: Run) -> None:
    async def go(bus: Redis) -> None:
        feed = await opened(bus)
        await bus.xadd(STREAMS[0], {"n": "1"}, id="1-1")
        await bus.delete(POSITIONS)
        with pytest.raises(ResponseError, match="NOFEED"):
            await merge(bus, feed)

    run(go)
