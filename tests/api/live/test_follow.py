"""A client's place: nothing is skipped and nothing comes twice, however slow the client is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from api.live.feed import FEED
from api.live.follow import Follower, Taken
from api.live.ring import Logged, Ring, read_logged
from api.live.tail import ZERO, Id, parse_id
from api.live.topics import Names
from connectors.redis.embedded import EmbeddedServer

SIGNALS = frozenset({"signals"})

Run = Callable[[Callable[["Log"], Awaitable[None]]], None]


@dataclass
class Log:
    """The merged log, with a hub that hears of it when it is told to."""

    bus: Redis
    names: Names = field(default_factory=Names)
    ring: Ring | None = None
    epoch: int = 0
    added: int = 0

    async def open(self, size: int = 4) -> None:
        rows: Any = await self.bus.xrevrange(FEED, count=1)
        self.epoch += 1
        self.ring = Ring(parse_id(rows[0][0] if rows else ZERO), size)

    async def add(self, kind: str = "signal") -> None:
        self.added += 1
        body = orjson.dumps({"n": str(self.added)}).decode()
        row = {"s": f"md:{{binance:A}}:{kind}", "i": "1-1", "b": body}
        fields: dict[Any, Any] = row
        await self.bus.xadd(FEED, fields)

    async def hear(self, followers: list[Follower]) -> None:
        """Hand on what came, as the hub does."""
        assert self.ring is not None
        rows: Any = await self.bus.xrange(FEED, min=f"({cursor(self.ring.end)}")
        for row in rows:
            entry = read_logged(row, self.names)
            before = self.ring.end
            self.ring.append(entry)
            if entry.is_for(SIGNALS):
                for one in followers:
                    one.waits(before)


def cursor(at: Id) -> str:
    return f"{at[0]}-{at[1]}"


def number(entry: Logged) -> int:
    return int(orjson.loads(entry.body)["fields"]["n"])


@pytest.fixture
def run(server: EmbeddedServer, client: redis.Redis) -> Run:
    def call(what: Callable[[Log], Awaitable[None]]) -> None:
        async def connected() -> None:
            bus = Redis.from_url(server.url, decode_responses=True, protocol=2)
            try:
                await bus.flushall()
                await what(Log(bus))
            finally:
                await bus.aclose()

        asyncio.run(connected())

    return call


async def all_of(follower: Follower) -> tuple[list[int], bool]:
    found: list[int] = []
    reset = False
    while True:
        taken: Taken = await follower.take(SIGNALS)
        found += [number(entry) for entry in taken.events]
        reset = reset or taken.reset
        if not taken.more:
            return found, reset


steps = st.lists(
    st.sampled_from(["signal", "fill", "hear", "take", "reconnect", "elsewhere"]), max_size=50
)


# Each example begins with an empty server.
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_each_event_comes_once_and_in_order(run: Run, steps: list[str]) -> None:
    async def go(log: Log) -> None:
        await log.open()
        follower = Follower(log, None)
        await follower.take(SIGNALS)
        found: list[int] = []
        expected: list[int] = []
        for step in steps:
            if step in {"signal", "fill"}:
                await log.add(step)
                expected += [log.added] if step == "signal" else []
            elif step == "hear":
                await log.hear([follower])
            elif step == "take":
                found += [number(entry) for entry in (await follower.take(SIGNALS)).events]
            elif step == "reconnect":  # Redis was away: what is in memory may not be the log
                follower.unsettle()
                await log.open()
            else:  # the client goes to another replica
                place = follower.cursor
                await log.open()
                follower = Follower(log, parse_id(place or ZERO))
        await log.hear([follower])
        more, reset = await all_of(follower)
        assert found + more == expected
        assert not reset

    run(go)


def test_one_who_reads_ahead_of_the_hub_does_not_go_back(run: Run) -> None:
    async def go(log: Log) -> None:
        await log.add()
        await log.open()
        await log.add()  # the hub has not heard of this one yet
        follower = Follower(log, (0, 0))
        assert await all_of(follower) == ([1, 2], False)
        assert log.ring is not None
        assert parse_id(follower.cursor or ZERO) > log.ring.end
        await log.hear([follower])
        assert await all_of(follower) == ([], False)

    run(go)


def test_a_place_that_was_trimmed_is_told_and_the_client_begins_at_the_end(run: Run) -> None:
    async def go(log: Log) -> None:
        await log.add()
        await log.open()
        place = log.ring.end if log.ring else None
        for _ in range(5):
            await log.add()
        await log.bus.xtrim(FEED, maxlen=2, approximate=False)
        await log.open()
        follower = Follower(log, place)
        assert await all_of(follower) == ([], True)
        await log.add()
        await log.hear([follower])
        assert await all_of(follower) == ([7], False)

    run(go)


def test_the_beginning_of_a_log_is_a_place_until_something_was_trimmed(run: Run) -> None:
    async def go(log: Log) -> None:
        for _ in range(3):
            await log.add()
        await log.open()
        assert await all_of(Follower(log, (0, 0))) == ([1, 2, 3], False)
        await log.bus.xtrim(FEED, maxlen=2, approximate=False)
        assert await all_of(Follower(log, (0, 0))) == ([], True)

    run(go)


@pytest.mark.parametrize("place", [(1, 1), (9_999_999_999_999, 0)])
def test_a_place_of_another_log_is_none(run: Run, place: Id) -> None:
    async def go(log: Log) -> None:
        await log.add()
        await log.open()
        assert await all_of(Follower(log, place)) == ([], True)

    run(go)


def test_a_client_that_is_sent_nothing_moves_along_and_is_not_told_to_begin_anew(run: Run) -> None:
    async def go(log: Log) -> None:
        await log.open()
        follower = Follower(log, None)
        await all_of(follower)
        for _ in range(20):
            await log.add("fill")
        await log.hear([follower])
        await log.bus.xtrim(FEED, maxlen=1, approximate=False)
        await log.add()
        await log.hear([follower])
        assert await all_of(follower) == ([21], False)

    run(go)


def test_a_slow_client_is_trimmed_away_only_with_the_log(run: Run) -> None:
    async def go(log: Log) -> None:
        await log.open()
        follower = Follower(log, None)
        await all_of(follower)
        for _ in range(1200):
            await log.add()
        await log.hear([follower])
        taken = await follower.take(SIGNALS)
        assert [number(entry) for entry in taken.events] == list(range(1, 501))
        assert taken.more
        await log.bus.xtrim(FEED, maxlen=300, approximate=False)
        assert await all_of(follower) == ([], True)

    run(go)


def test_entries_that_the_log_never_got_are_told(run: Run) -> None:
    async def go(log: Log) -> None:
        await log.open()
        follower = Follower(log, None)
        await all_of(follower)
        await log.bus.xadd(FEED, {"s": "md:{binance:A}:fill", "r": "1"})
        await log.hear([follower])
        assert await all_of(follower) == ([], False), "it concerns others"
        await log.bus.xadd(FEED, {"s": "md:{binance:A}:signal", "r": "1"})
        await log.add()
        await log.hear([follower])
        assert await all_of(follower) == ([1], True)

    run(go)
