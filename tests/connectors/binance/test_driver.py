"""The driver on real sockets: faults of the simulated exchange, stops, resumes, its own limits."""

import random
import time
from collections.abc import Callable, Iterator

import pytest

from connectors.binance.config import BinanceConfig
from connectors.binance.driver import Batch, Driver
from connectors.binance.source import BinanceSource, shard_of
from connectors.shutdown import STOP
from core.exchange.plan import Plan
from core.market.errors import ConfigError
from core.market.events import Connected, Disconnected, Frame, GapRepaired, Quarantined
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
