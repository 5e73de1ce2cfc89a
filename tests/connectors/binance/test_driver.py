"""The driver on real sockets: faults of the simulated exchange, stops, resumes, its own limits."""

import random
import time
from collections.abc import Callable, Iterator

import pytest

from connectors.binance.config import BinanceConfig
from connectors.binance.driver import Batch, Driver
from connectors.binance.rest import Rest
from connectors.binance.source import BinanceSource
from connectors.binance.subscriptions import shard_of
from connectors.shutdown import STOP
from core.exchange.plan import Plan
from core.market.errors import ConfigError
from core.market.events import (
    Connected,
    Disconnected,
    Frame,
    GapRepaired,
    Quarantined,
    Rotated,
    Stale,
)
from core.market.trades import Trades
from simulator.faults import parse_fault
from simulator.local import Simulator
from simulator.scenarios import scenario

SYMBOLS = ("BTCUSDT", "ETHUSDT", "DOGEBTC")


@pytest.fixture(autouse=True)
def _unstopped() -> Iterator[None]:
    STOP.clear()
    yield
    STOP.clear()


def exchange(*faults: str, speed: float = 30.0) -> Simulator:
    settings = scenario("calm").settings.model_copy(
        update={"speed": speed, "faults": tuple(parse_fault(text) for text in faults)}
    )
    return Simulator(settings)


def config(sim: Simulator, **more: float) -> BinanceConfig:
    base = {"ws_url": sim.ws_url, "rest_url": sim.rest_url, "backoff_base": 0.05}
    return BinanceConfig.model_validate({**base, **more})


def taken(driver: Driver, until: Callable[[Batch], bool], seconds: float = 30.0) -> Batch:
    out: Batch = []
    deadline = time.monotonic() + seconds
    while not until(out):
        assert time.monotonic() < deadline, [i for _, i in out if not isinstance(i, Frame)][-5:]
        out += driver.take()
        time.sleep(0.002)
    return out


def ids(items: Batch, key: str = "binance:BTCUSDT") -> list[int]:
    return [n for k, i in items if k == key and isinstance(i, Trades) for n in i.id.tolist()]


def of(items: Batch, kind: type) -> list[object]:
    return [item for _, item in items if isinstance(item, kind)]


def test_a_cut_connection_is_dialled_again_and_the_hole_is_repaired() -> None:
    with exchange("drop@after=20s,connection=1") as sim:
        driver = Driver(config(sim), Plan(symbols=SYMBOLS), dice=random.Random(1))
        driver.start()
        items = taken(driver, lambda out: bool(of(out, GapRepaired)) and len(ids(out)) > 1500)
        driver.stop()
        items += driver.take()
    found = ids(items)
    assert found == list(range(found[0], found[0] + len(found)))
    assert len(of(items, Connected)) == 2
    # A repair leaves where its rows belong: REST rows are marked, and in order.
    assert any(t.repaired for t in of(items, Trades) if isinstance(t, Trades))


def test_refused_handshakes_are_reported_and_tried_again() -> None:
    with exchange("refuse@connection=1,attempts=2,status=503") as sim:
        driver = Driver(config(sim), Plan(symbols=SYMBOLS), dice=random.Random(1))
        driver.start()
        items = taken(driver, lambda out: len(of(out, Connected)) == 1)
        driver.stop()
    reasons = [d.reason for d in of(items, Disconnected) if isinstance(d, Disconnected)]
    assert len(reasons) == 2
    assert all("503" in reason for reason in reasons)


def test_garbage_is_quarantined_with_what_came_and_nothing_is_lost() -> None:
    with exchange("garbage@frames=60,kind=all,connection=1") as sim:
        driver = Driver(config(sim), Plan(symbols=SYMBOLS), dice=random.Random(1))
        driver.start()
        items = taken(driver, lambda out: len(of(out, Quarantined)) >= 5 and len(ids(out)) > 300)
        driver.stop()
    bad = [q for q in of(items, Quarantined) if isinstance(q, Quarantined)]
    assert all(q.payload and q.source.startswith("link ") for q in bad)
    found = ids(items)
    assert found == list(range(found[0], found[0] + len(found)))


def test_a_slow_worker_stops_the_reading_and_loses_nothing() -> None:
    with exchange(speed=60.0) as sim:
        driver = Driver(
            config(sim, max_pending_rows=1000), Plan(symbols=SYMBOLS), dice=random.Random(1)
        )
        driver.start()
        first = taken(driver, lambda out: len(ids(out)) > 100)
        until = time.monotonic() + 10
        while driver._session.waiting <= 1000:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert driver._session.waiting < 1500
        found = ids(first + taken(driver, lambda out: len(ids(out)) > 3000))
        driver.stop()
    assert found == list(range(found[0], found[0] + len(found)))


def test_a_symbol_that_the_exchange_does_not_have_is_an_error_in_words() -> None:
    with exchange() as sim:
        driver = Driver(config(sim), Plan(symbols=("BTCUSDT", "NOSUCH")), dice=random.Random(1))
        driver.start()
        with pytest.raises(ConfigError, match="has no symbol `NOSUCH`"):
            taken(driver, lambda _out: False)
        driver.stop()


def test_a_partition_resumes_behind_its_snapshot_and_ends_on_the_stop_flag() -> None:
    with exchange() as sim:
        source = BinanceSource(config(sim), SYMBOLS)
        (name,) = source.list_parts()
        first = source.build_part("exchange", name, None)
        items: Batch = []
        while len(ids(items)) < 300:
            items += first.next_batch()
        state = first.snapshot()
        first.close()
        second = source.build_part("exchange", name, state)
        while len(ids(items)) < 900:
            items += second.next_batch()
        STOP.set()
        items += second.next_batch()
        with pytest.raises(StopIteration):
            second.next_batch()
    found = ids(items)
    assert found == list(range(found[0], found[0] + len(found)))


def test_symbols_are_spread_over_shards_the_same_way_everywhere() -> None:
    symbols = [f"S{n}USDT" for n in range(400)]
    counts = [0] * 4
    for symbol in symbols:
        counts[shard_of(symbol, 4)] += 1
    assert min(counts) > 60
    assert shard_of("BTCUSDT", 4) == 3


def test_a_link_is_replaced_without_a_break_again_and_again() -> None:
    with exchange() as sim:
        driver = Driver(
            config(sim, rotate_hours=1.0 / 3600), Plan(symbols=SYMBOLS), dice=random.Random(1)
        )
        driver.start()
        items = taken(driver, lambda out: len(of(out, Rotated)) >= 3, seconds=60)
        driver.stop()
        items += driver.take()
    for symbol in SYMBOLS[:2]:
        found = ids(items, f"binance:{symbol}")
        assert found == list(range(found[0], found[0] + len(found)))
    reasons = [d.reason for d in of(items, Disconnected) if isinstance(d, Disconnected)]
    assert reasons.count("replaced") >= 2
    # Nothing was asked of REST: the links overlapped.
    assert not any(t.repaired for t in of(items, Trades) if isinstance(t, Trades))


def test_symbols_come_and_go_while_the_driver_runs() -> None:
    with exchange() as sim:
        driver = Driver(config(sim), Plan(symbols=("BTCUSDT",)), dice=random.Random(1))
        driver.start()
        items = taken(driver, lambda out: len(ids(out)) > 50)
        with pytest.raises(ConfigError, match="has no symbol `NOSUCH`"):
            driver.command(subscribe=("NOSUCH",)).result(10)
        driver.command(subscribe=("ETHUSDT",)).result(10)
        items += taken(driver, lambda out: len(ids(out, "binance:ETHUSDT")) > 50)
        driver.command(unsubscribe=("BTCUSDT",)).result(10)
        assert driver.resume().symbols == ("ETHUSDT",)
        driver.take()
        later = taken(driver, lambda out: len(ids(out, "binance:ETHUSDT")) > 50)
        driver.stop()
    assert not ids(later)
    assert not of(items + later, Quarantined)


def test_shards_of_one_process_share_what_the_exchange_allows() -> None:
    with exchange() as sim:
        own = config(sim, weight_per_minute=1000)
        first, second = (Rest(own, clock=time.time) for _ in range(2))
        assert first.budget is second.budget
        assert first.budget.ask(800, 60.0, urgent=True) == 0
        assert second.budget.ask(800, 61.0, urgent=True) == 59.0
        assert first.budget.refused(418, "7", 62.0) == 7.0
        assert second.budget.dial(63.0) == 6.0


def test_more_streams_than_a_connection_carries_are_refused_with_the_way_out() -> None:
    many = tuple(f"S{n}USDT" for n in range(600))
    with pytest.raises(ConfigError, match=r"set it to 2 or more"):
        BinanceSource(BinanceConfig(), many, audit=("1m",))
    assert BinanceSource(BinanceConfig(shards=2), many, audit=("1m",)).list_parts()


def test_usdm_has_aggregates_only() -> None:
    futures = BinanceConfig.model_validate({"market": "usdm"})
    assert (futures.feed, futures.ws) == ("aggTrade", "wss://fstream.binance.com/market")
    with pytest.raises(ValueError, match="no single trades"):
        BinanceConfig(market="usdm", feed="trade")
    with pytest.raises(ValueError, match="no endpoint `vision`; there are binance custom testnet"):
        BinanceConfig.model_validate({"market": "usdm", "endpoint": "vision"})


def test_a_stream_that_falls_silent_alone_is_found_and_its_trades_are_repaired() -> None:
    with exchange("stall@after=60s,for=2000s,stream=btcusdt@trade,connection=1") as sim:
        driver = Driver(config(sim), Plan(symbols=SYMBOLS), dice=random.Random(1))
        driver.start()
        items = taken(driver, lambda out: bool(of(out, Stale)), seconds=60)
        items += taken(driver, lambda out: bool(of(out, GapRepaired)), seconds=30)
        driver.stop()
        items += driver.take()
    (stale,) = of(items, Stale)
    assert isinstance(stale, Stale)
    assert stale.key == "binance:BTCUSDT"
    assert "REST is at id" in stale.reason
    found = ids(items)
    assert found == list(range(found[0], found[0] + len(found)))
    assert not of(items, Disconnected)[:-1]


def test_a_shutdown_that_is_announced_costs_no_trade() -> None:
    with exchange("shutdown@after=40s,shape=event,connection=1") as sim:
        driver = Driver(config(sim), Plan(symbols=SYMBOLS), dice=random.Random(1))
        driver.start()
        items = taken(driver, lambda out: bool(of(out, Rotated)), seconds=60)
        driver.stop()
    assert not any(t.repaired for t in of(items, Trades) if isinstance(t, Trades))
    found = ids(items)
    assert found == list(range(found[0], found[0] + len(found)))
