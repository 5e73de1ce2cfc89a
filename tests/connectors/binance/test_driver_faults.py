"""The driver against each fault of the simulated exchange: it loses nothing; what it says."""

import gc
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

import pytest

from connectors.binance.config import BinanceConfig
from connectors.binance.driver import Batch, Driver
from connectors.shutdown import STOP
from core.exchange.plan import Plan
from core.market.events import (
    Connected,
    Disconnected,
    Frame,
    Gap,
    GapOpened,
    GapRepaired,
    Quarantined,
    Rotated,
    Stale,
    StatusChanged,
    Tick,
)
from core.market.trades import Trades
from simulator.config import LimitSettings
from simulator.faults import parse_fault
from simulator.local import Simulator
from simulator.scenarios import scenario

Item = TypeVar("Item")

SYMBOLS = ("BTCUSDT", "ETHUSDT", "DOGEBTC")
BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"


@pytest.fixture(autouse=True)
def _unstopped() -> Iterator[None]:
    STOP.clear()
    yield
    STOP.clear()


class Run:
    """A driver on a simulated exchange, and all that it said so far."""

    def __init__(self, sim: Simulator, driver: Driver) -> None:
        self.sim, self.driver = sim, driver
        self.began_us = time.time_ns() // 1000
        self.items: Batch = []

    def until(self, done: Callable[["Run"], bool], seconds: float = 40.0) -> None:
        deadline = time.monotonic() + seconds
        while not done(self):
            assert time.monotonic() < deadline, self.said()[-12:]
            self.items += self.driver.take()
            time.sleep(0.002)

    def ids(self, key: str = BTC) -> list[int]:
        batches = (i for k, i in self.items if k == key and isinstance(i, Trades))
        return [n for batch in batches for n in batch.id.tolist()]

    def of(self, kind: type[Item]) -> list[Item]:
        return [item for _, item in self.items if isinstance(item, kind)]

    def said(self) -> list[object]:
        return [i for _, i in self.items if not isinstance(i, Frame | Trades | Tick)]

    def is_complete(self, *keys: str) -> bool:
        """Say whether every id came once and in order, and the trades are the exchange's."""
        self.items += self.driver.take()
        for key in keys or (BTC, ETH):
            found = self.ids(key)
            assert found == list(range(found[0], found[0] + len(found))), key
        return not self.of(Gap)

    def longest_silence(self) -> float:
        """Return the longest time without a frame, in seconds of ours."""
        came = [f.received_us for f in self.of(Frame) if f.kind == "frame"]
        return max(b - a for a, b in pairwise(came)) / 1e6

    def deepest_fall(self) -> float:
        """Return by how much the exchange's time fell at most from frame to frame, in seconds."""
        told = [re.search(r'"E":(\d+)', f.payload) for f in self.of(Frame) if f.kind == "frame"]
        times = [int(found[1]) for found in told if found]
        return max(a - b for a, b in pairwise(times)) / 1e6

    @property
    def repaired(self) -> bool:
        return any(batch.repaired for batch in self.of(Trades))

    @property
    def reasons(self) -> list[str]:
        return [lost.reason for lost in self.of(Disconnected)]


@contextmanager
def running(
    *faults: str, speed: float = 30.0, feed: str = "trade", **more: float | None
) -> Iterator[Run]:
    settings = scenario("calm").settings.model_copy(
        update={
            "speed": speed,
            "faults": tuple(parse_fault(text) for text in faults),
            "limits": LimitSettings(weight=None),
        }
    )
    with Simulator(settings) as sim:
        config = BinanceConfig.model_validate(
            {"ws_url": sim.ws_url, "rest_url": sim.rest_url, "backoff_base": 0.05, "feed": feed}
            | more
        )
        driver = Driver(
            config, Plan.model_validate({"symbols": SYMBOLS, "feed": feed}), dice=random.Random(1)
        )
        driver.start()
        try:
            yield Run(sim, driver)
        finally:
            driver.stop()


def passed(seconds: float) -> Callable[[Run], bool]:
    """Say whether the exchange is so far."""
    return lambda run: run.sim.now_us() >= run.sim.start_us + int(seconds * 1e6)


def test_a_reset_connection_is_dialled_again_and_the_hole_is_repaired() -> None:
    with running("reset@after=20s,connection=1") as run:
        run.until(lambda r: len(r.of(Connected)) == 2 and bool(r.of(GapRepaired)))
        assert run.is_complete()
    assert run.repaired
    assert len(run.reasons) == 1


def test_a_half_open_connection_is_found_by_its_own_ping_and_replaced() -> None:
    with running("halfopen@after=20s,connection=1", ping_seconds=0.5) as run:
        run.until(lambda r: len(r.of(Connected)) == 2 and bool(r.of(GapRepaired)))
        assert run.is_complete()
    assert "keepalive ping timeout" in run.reasons[0]


def test_a_short_partition_heals_and_costs_nothing() -> None:
    with running("halfopen@after=20s,for=20s,connection=1", ping_seconds=5.0) as run:
        run.until(passed(90))
        assert run.is_complete()
    assert run.longest_silence() > 0.5
    assert not run.of(Disconnected)
    assert not run.repaired


@pytest.mark.slow
def test_an_acknowledged_stream_that_says_nothing_is_found_and_its_trades_come_by_rest() -> None:
    with running("mute@stream=btcusdt@trade,connection=1") as run:
        run.until(lambda r: len(r.of(Connected)) == 2 and len(r.ids()) > 200, seconds=90)
        assert run.is_complete()
    assert run.repaired
    assert {stale.key for stale in run.of(Stale)} == {BTC}
    assert run.reasons == ["btcusdt@trade stays silent"]


def test_a_lost_answer_ends_the_link_and_the_next_one_is_answered() -> None:
    with running("ack@lose=answer,connection=1") as run:
        run.until(lambda r: len(r.of(Connected)) == 1 and len(r.ids()) > 200)
        assert run.is_complete()
    assert run.reasons == ["no answer to SUBSCRIBE"]


def test_a_lost_request_ends_the_link_and_the_next_one_is_answered() -> None:
    with running("ack@lose=request,connection=1") as run:
        run.until(lambda r: len(r.of(Connected)) == 1 and len(r.ids()) > 200)
        assert run.is_complete()
    assert run.reasons == ["no answer to SUBSCRIBE"]


def test_a_slow_answer_is_waited_for_while_data_comes() -> None:
    with running("ack@delay=30s,connection=1") as run:
        run.until(lambda r: len(r.of(Connected)) == 1 and len(r.ids()) > 200)
        assert run.is_complete()
    first, acked = (
        next(n for n, f in enumerate(run.of(Frame)) if text in f.payload)
        for text in ('"e":"trade"', '"result":null')
    )
    assert first < acked
    assert not run.reasons


def test_a_request_that_waits_for_too_long_ends_the_link() -> None:
    with running("slowack@over=10,connection=1,delay=5m") as run:
        run.until(lambda r: len(r.of(Connected)) == 1 and len(r.ids()) > 200)
        assert run.is_complete()
    assert run.reasons == ["no answer to SUBSCRIBE"]


def test_frames_that_come_late_in_a_burst_cost_nothing() -> None:
    with running("late@after=20s,for=40s,stream=btcusdt@trade") as run:
        run.until(passed(90))
        assert run.is_complete()
    assert run.deepest_fall() > 35
    assert not run.repaired
    assert not run.of(Stale)
    # The clock is that of all streams: it does not wait for one of them.
    assert not run.of(Disconnected)


def test_a_whole_connection_that_is_late_costs_nothing() -> None:
    with running("late@after=20s,for=40s") as run:
        run.until(passed(90))
        assert run.is_complete()
    assert run.longest_silence() > 1
    assert not run.repaired
    assert not run.of(Disconnected)


def test_neighbours_that_are_swapped_come_out_in_order() -> None:
    with running("reorder@frames=100,count=20,stream=btcusdt@trade") as run:
        run.until(lambda r: len(r.ids()) > 1500)
        run.until(lambda r: len(r.of(GapRepaired)) == len(r.of(GapOpened)))
        assert run.is_complete()
    assert run.of(GapOpened)
    assert not run.of(Quarantined)


def test_an_announced_shutdown_that_is_carried_out_costs_no_trade() -> None:
    with running("shutdown@after=30s,lead=5m,connection=1") as run:
        run.until(lambda r: bool(r.of(Rotated)))
        run.until(passed(120))
        assert run.is_complete()
    assert not run.repaired
    assert run.reasons == ["replaced"]


def test_a_shutdown_without_warning_time_is_a_reconnect() -> None:
    with running("shutdown@after=30s,lead=0s,connection=1") as run:
        run.until(lambda r: len(r.of(Connected)) == 2)
        run.until(passed(120))
        assert run.is_complete()
    assert len(run.reasons) == 1


def test_a_connection_that_is_too_old_or_too_loud_is_dialled_again() -> None:
    with running("close@after=40s,per=connection", "close@after=20s,code=1008,reason=x") as run:
        run.until(lambda r: len(r.of(Connected)) >= 3)
        assert run.is_complete()
    assert "1008" in run.reasons[0]
    assert "1001" in run.reasons[1]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_error_of_rest_delays_a_repair_and_loses_nothing(status: int) -> None:
    error = f"rest@status={status},count=2,after=10s,path=historicalTrades,retry_after=20s"
    with running("skip@after=20s,count=40,connection=1", error) as run:
        run.until(lambda r: len(r.of(GapRepaired)) >= 1)
        assert run.is_complete()
    assert not run.of(Disconnected)


@pytest.mark.parametrize("status", [418, 403])
def test_a_ban_is_obeyed_by_rest_and_by_sockets(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.binance.budget._FIREWALL_S", 5.0)
    ban = f"rest@status={status},after=10s,count=1,path=historicalTrades,retry_after=150s"
    with running("skip@after=20s,count=40,connection=1", "drop@after=60s", ban) as run:
        run.until(lambda r: len(r.of(Connected)) == 2 and len(r.of(GapRepaired)) >= 1)
        assert run.is_complete()
    # Nobody dials while banned.
    frames = run.of(Frame)
    banned = next(f.received_us for f in frames if f"HTTP {status}" in f.payload)
    (_, again) = [f.received_us for f in frames if f.kind == "open"]
    assert again - banned > 4_500_000


def test_a_firewalls_page_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.binance.budget._FIREWALL_S", 1.0)
    with running("rest@status=403,path=exchangeInfo") as run:
        run.until(lambda r: len(r.ids()) > 100)
        assert run.is_complete()
    (start,) = [f for f in run.of(Frame) if f.kind == "start"]
    assert start.received_us - run.began_us > 900_000


def test_an_answer_that_never_comes_is_given_up_and_asked_again() -> None:
    faults = ("skip@after=20s,count=40,connection=1", "resthang@path=historicalTrades,count=2")
    with running(*faults, rest_timeout=0.5) as run:
        run.until(lambda r: len(r.of(GapRepaired)) >= 1)
        assert run.is_complete()


def test_exchange_information_that_never_comes_is_asked_again() -> None:
    with running("resthang@path=exchangeInfo,count=2", rest_timeout=0.5) as run:
        run.until(lambda r: len(r.ids()) > 100)
        assert run.is_complete()
    (start,) = [f for f in run.of(Frame) if f.kind == "start"]
    assert start.received_us - run.began_us > 900_000


@pytest.mark.parametrize(
    "fault",
    [
        "partial@rows=7,count=5",
        "partial@rows=0,count=4",
        "torn@path=historicalTrades,count=3",
        "torn@path=historicalTrades,kind=length,count=3",
        "restlag@lag=30s,for=5m",
    ],
)
def test_pages_that_are_short_torn_or_behind_delay_a_repair_and_lose_nothing(fault: str) -> None:
    with running("skip@after=20s,count=40,connection=1", fault) as run:
        run.until(lambda r: len(r.of(GapRepaired)) >= 1)
        assert run.is_complete()
    assert not run.of(Disconnected)


def test_exchange_information_that_is_torn_is_asked_again() -> None:
    with running("torn@path=exchangeInfo") as run:
        run.until(lambda r: len(r.ids()) > 100)
        assert run.is_complete()


def test_exchange_information_that_is_torn_later_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("core.exchange.inquiries.STATUS_US", 1_000_000)
    faults = ("torn@path=exchangeInfo,after=20s", "status@after=40s,symbol=ETHUSDT")
    with running(*faults) as run:
        run.until(lambda r: bool(r.of(StatusChanged)))
        assert run.is_complete()
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_invalidated_aggregates_fill_the_jump_of_the_stream() -> None:
    with running("badagg@after=20s,count=12,symbol=BTCUSDT", feed="aggTrade") as run:
        run.until(lambda r: len(r.of(GapRepaired)) >= 1 and len(r.ids()) > 500)
        assert run.is_complete()
    rows = [batch for k, batch in run.items if k == BTC and isinstance(batch, Trades)]
    bad = sum(int((batch.price == 0).sum()) for batch in rows)
    assert bad == 12


@pytest.mark.slow
def test_halts_are_events_and_no_gaps_and_no_alarm() -> None:
    halts = {"BTCUSDT": "BREAK", "ETHUSDT": "HALT", "DOGEBTC": "CANCEL_ONLY"}
    faults = [
        f"status@after=60s,for=30m,symbol={symbol},status={status}"
        for symbol, status in halts.items()
    ]
    with running(*faults, speed=60.0) as run:
        run.until(lambda r: len(r.of(StatusChanged)) >= 6, seconds=90)
        before = len(run.ids())
        run.until(lambda r: len(r.ids()) > before + 100)
        assert run.is_complete()
    told = [(event.key.removeprefix("binance:"), event.status) for event in run.of(StatusChanged)]
    assert sorted(told[:3]) == sorted(halts.items())
    assert sorted(told[3:]) == sorted((symbol, "TRADING") for symbol in halts)
    assert not run.of(Stale)
    assert not run.of(Disconnected)
    assert not run.repaired


@pytest.mark.parametrize("by", ["-3s", "3s"])
def test_a_clock_that_is_wrong_for_a_while_loses_nothing(by: str) -> None:
    with running(f"skew@by={by},after=20s,for=40s") as run:
        run.until(passed(100))
        assert run.is_complete()
    assert run.deepest_fall() > 2
    assert not run.of(Disconnected)
    assert not run.of(Quarantined)
    # The clock that the flow sees never goes back.
    ticks = [tick.time_us for key, tick in run.items if key == BTC and isinstance(tick, Tick)]
    assert ticks == sorted(ticks)


def test_a_clock_that_is_a_day_ahead_for_a_moment_does_not_take_the_flow_along() -> None:
    with running("skew@by=24h,after=20s,for=200ms") as run:
        run.until(passed(60))
        assert run.is_complete()
        now_us = run.sim.now_us()
    ticks = [tick.time_us for tick in run.of(Tick)]
    assert max(ticks) < now_us + 1_000_000
