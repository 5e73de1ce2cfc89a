"""The source on USD-M futures, on real sockets: aggregates, holes of their own, routes, limits."""

import asyncio
import random
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

import pytest

from connectors.binance.config import BinanceConfig
from connectors.binance.driver import Batch, Driver
from connectors.binance.history import History, Span
from connectors.binance.rest import Rest
from core.exchange.plan import Plan
from core.exchange.repair import Missing
from core.market.events import (
    Connected,
    Disconnected,
    ExchangeKline,
    Frame,
    Gap,
    GapOpened,
    GapRepaired,
    Quarantined,
    Stale,
    StatusChanged,
)
from core.market.trades import Trades
from simulator.config import SimulatorSettings
from simulator.faults import parse_fault
from simulator.local import Simulator

SYMBOLS = ("BTCUSDT", "ETHUSDT", "DOGEBTC")
KEY = "binance-usdm:BTCUSDT"
Row = tuple[int, str, str, int, int]


def exchange(*faults: str, speed: float = 30.0, history: float = 600.0) -> Simulator:
    market = {"product": "usdm", "unpublished": 0.1, "history": history}
    found = tuple(parse_fault(text) for text in faults)
    settings = {"market": market, "speed": speed, "faults": found}
    return Simulator(SimulatorSettings.model_validate(settings))


def config(sim: Simulator, **more: object) -> BinanceConfig:
    base = {
        "market": "usdm", "ws_url": sim.ws_url, "rest_url": sim.rest_url, "backoff_base": 0.05,
    }  # fmt: skip
    return BinanceConfig.model_validate(base | more)


def driver(own: BinanceConfig, **plan: object) -> Driver:
    usual = {"symbols": SYMBOLS, "audit": ("1m",)}
    known = {"exchange": own.place.exchange, "feed": own.feed}
    return Driver(own, Plan.model_validate(known | usual | plan), dice=random.Random(1))


def taken(driver: Driver, until: Callable[[Batch], bool], seconds: float = 60.0) -> Batch:
    out: Batch = []
    deadline = time.monotonic() + seconds
    while not until(out):
        assert time.monotonic() < deadline, [i for _, i in out if not isinstance(i, Frame)][-5:]
        out += driver.take()
        time.sleep(0.002)
    return out


def rows(items: Batch, key: str = KEY) -> list[Row]:
    found: list[Row] = []
    for name, item in items:
        if name == key and isinstance(item, Trades):
            assert item.is_aggregate
            firsts, lasts = item.first_ids.tolist(), item.last_ids.tolist()
            for row, first, last in zip(item.rows(), firsts, lasts, strict=True):
                found.append((row[0], row[2], row[3], first, last))
    return found


def of(items: Batch, kind: type) -> list[object]:
    return [item for _, item in items if isinstance(item, kind)]


def assert_whole(found: list[Row]) -> None:
    assert [row[0] for row in found] == list(range(found[0][0], found[0][0] + len(found)))
    # Trade ids skip, between aggregates and inside of them: no gap, no alarm.
    assert all(b[3] > a[4] for a, b in pairwise(found))
    assert any(b[3] > a[4] + 1 for a, b in pairwise(found))


def assert_equals_the_market(found: list[Row], sim: Simulator) -> None:
    by_id = {t.id: t for t in sim.trades("BTCUSDT", 0, sim.now_us())}
    for _, price, quantity, first, last in found:
        fills = [by_id[n] for n in range(first, last + 1) if n in by_id]
        assert {Decimal(f.price) / 10**8 for f in fills} == {Decimal(price)}
        assert sum(Decimal(f.quantity) for f in fills) / 10**8 == Decimal(quantity)


def test_aggregates_arrive_whole_though_trade_ids_have_holes() -> None:
    with exchange() as sim:
        own = driver(config(sim))
        own.start()
        items = taken(own, lambda out: len(rows(out)) > 1000 and len(of(out, ExchangeKline)) >= 3)
        own.stop()
        found = rows(items)
        assert_whole(found)
        # Their quantities are those of all fills, also of orders that `nq` leaves out.
        assert_equals_the_market(found, sim)
    assert not of(items, Gap) + of(items, GapOpened) + of(items, Quarantined) + of(items, Stale)
    trades = next(i for _, i in items if isinstance(i, Trades) and i.key == KEY)
    assert (trades.price_scale, trades.quantity_scale) == (2, 5)  # from the filters
    assert len(of(items, Connected)) == 1


def test_a_cut_is_repaired_from_aggregates_and_nothing_else_is_asked() -> None:
    with exchange(
        "drop@after=40s,connection=1", "skip@frames=200,count=40,stream=btcusdt@aggTrade"
    ) as sim:
        own = driver(config(sim))
        own.start()
        items = taken(
            own,
            lambda out: len(of(out, Connected)) == 2 and len(of(out, GapRepaired)) >= 2
            and len(rows(out)) > 1500,
        )  # fmt: skip
        own.stop()
        items += own.take()
        found = rows(items)
        assert_whole(found)
        assert_equals_the_market(found, sim)
    repaired = [t for t in of(items, Trades) if isinstance(t, Trades) and t.repaired]
    assert {t.is_aggregate for t in repaired} == {True}
    assert not of(items, Gap)


def test_a_restart_goes_on_by_aggregate_ids() -> None:
    with exchange() as sim:
        first = driver(config(sim))
        first.start()
        items = taken(first, lambda out: len(rows(out)) > 200)
        plan = first.resume()
        first.stop()
        began = sim.now_us()
        while sim.now_us() < began + 30_000_000:
            time.sleep(0.05)
        second = Driver(config(sim), plan, dice=random.Random(2))
        second.start()
        items += taken(second, lambda out: len(rows(out)) > 600)
        second.stop()
        assert_whole(rows(items))


def test_what_is_older_than_48_hours_becomes_a_gap_in_words() -> None:
    days = 3 * 86_400.0
    symbols = [
        {"symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "price": "60000", "rate": 0.02}
    ]
    market = {"product": "usdm", "history": days, "symbols": symbols}
    settings = SimulatorSettings.model_validate({"market": market, "speed": 60.0})
    with Simulator(settings) as sim:
        own = driver(config(sim), symbols=("BTCUSDT",), next_ids={"BTCUSDT": 10})
        own.start()
        items = taken(own, lambda out: bool(of(out, GapRepaired)))
        own.stop()
    (gap,) = of(items, Gap)
    assert isinstance(gap, Gap)
    assert gap.first_id == 10
    assert f"history goes on at id {gap.last_id + 1}" in gap.reason
    found = [row[0] for row in rows(items)]
    assert found[0] == gap.last_id + 1
    assert found == list(range(found[0], found[0] + len(found)))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute of silence becomes half a second."""
    for name in ("core.exchange.inquiries.LOOK_US", "core.exchange.inquiries.CONFIRM_US"):
        monkeypatch.setattr(name, 200_000)
    for name in ("_FIRST_US", "_SHORTEST_US"):
        monkeypatch.setattr(f"core.exchange.watch.{name}", 500_000)
    monkeypatch.setattr("core.exchange.inquiries.STATUS_US", 300_000)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("route", ["", "/public"])
def test_a_wrong_route_is_found_and_said(route: str) -> None:
    with exchange() as sim:
        base = sim.ws_url.removesuffix("/market")
        own = driver(config(sim, ws_url=base + route), symbols=("BTCUSDT",))
        own.start()
        items = taken(own, lambda out: bool(of(out, Stale)) and len(of(out, Disconnected)) >= 1)
        own.stop()
    # It was connected and acknowledged all the while.
    assert of(items, Connected)
    stale, lost = of(items, Stale)[0], of(items, Disconnected)[0]
    assert isinstance(stale, Stale)
    assert isinstance(lost, Disconnected)
    assert "REST is at id" in stale.reason
    for reason in (stale.reason, lost.reason):
        assert "no stream of the connection has said anything yet: is its address" in reason
    # What REST has is not lost, and comes in order.
    found = rows(items)
    assert [row[0] for row in found] == list(range(found[0][0], found[0][0] + len(found)))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("fault", "audit"),
    [
        ("stall@frames=100,for=5000s,connection=1", ()),
        ("stall@frames=0,for=5000s,connection=1,stream=btcusdt@aggTrade", ("1m",)),
    ],
)
def test_a_connection_that_ever_spoke_is_not_told_to_look_at_its_address(
    fault: str, audit: tuple[str, ...]
) -> None:
    with exchange(fault) as sim:
        own = driver(config(sim), symbols=("BTCUSDT",), audit=audit)
        own.start()
        items = taken(own, lambda out: bool(of(out, Stale)))
        own.stop()
    stale = of(items, Stale)[0]
    assert isinstance(stale, Stale)
    assert "address" not in stale.reason


@pytest.mark.usefixtures("quick")
def test_the_status_of_a_contract_is_told() -> None:
    with exchange("status@after=30s,for=3000s,symbol=ETHUSDT,status=BREAK") as sim:
        own = driver(config(sim))
        own.start()
        items = taken(own, lambda out: bool(of(out, StatusChanged)))
        own.stop()
    (told,) = of(items, StatusChanged)
    assert isinstance(told, StatusChanged)
    assert (told.key, told.status) == ("binance-usdm:ETHUSDT", "BREAK")


def test_the_budget_is_that_of_usd_m() -> None:
    with exchange() as sim:
        rest = Rest(config(sim), clock=lambda: 60.0)

        async def ask() -> None:
            await rest.newest("BTCUSDT")
            assert rest.budget.spent == 20
            await rest.info(("BTCUSDT",))
            assert rest.budget.spent == 21
            await rest.close()

        asyncio.run(ask())
        # 2400 less the tenth that is kept, and less what the exchange said that is used.
        assert rest.budget.ask(2160 - 21, 60.0, urgent=True) == 0
        assert rest.budget.ask(20, 60.0, urgent=True) == 60.0


def test_history_is_asked_for_by_aggregate_ids() -> None:
    async def fetched(own: BinanceConfig, start_us: int) -> tuple[int, list[int]]:
        history = History(own)
        first = await history.first_id_at("BTCUSDT", start_us)
        found: list[int] = []
        async for part in history.fetch("BTCUSDT", Span(first, first + 1499)):
            assert not isinstance(part, Missing)
            assert part.is_aggregate
            found += part.id.tolist()
        await history.close()
        return first, found

    with exchange() as sim:
        first, found = asyncio.run(fetched(config(sim), sim.start_us - 300_000_000))
    assert found == list(range(first, first + 1500))


def test_what_usd_m_does_not_have_is_not_asked_of_it() -> None:
    own = BinanceConfig.model_validate({"market": "usdm"})
    assert own.stream_url == "wss://fstream.binance.com/market/stream"
    assert (own.audited("1m"), own.audited("1s")) == (("1m",), ())
    spot = BinanceConfig()
    assert spot.stream_url == "wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND"
    assert spot.audited("1s") == ("1s",)
    assert BinanceConfig(audit=False).audited("1m") == ()
