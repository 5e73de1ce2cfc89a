"""How long rows are on their way."""

import time

import numpy as np
import orjson
import pytest

from connectors.binance.passing import event_time, note_batch
from connectors.parquet.lasting import Lasting
from connectors.redis.codec import Target
from connectors.redis.ontheway import OnTheWay
from connectors.redis.outbox import Outbox
from core.market.events import Frame, Item, Tick
from core.market.trades import Trades
from dataflows.rates import Rates
from telemetry.passage import PASSAGE, STAGES, Passage, Stamp

KEY, SHARD = "binance:BTCUSDT", "binance:shard-0"
MS = 1_000_000


def trades(first: int, last: int, *, repaired: bool = False) -> Trades:
    ids = np.arange(first, last + 1, dtype=np.int64)
    return Trades(
        key=KEY, price_scale=2, quantity_scale=5, id=ids, time_us=ids + MS, price=ids * 100,
        quantity=ids, buyer_is_maker=ids % 2 == 0, repaired=repaired,
    )  # fmt: skip


def counted(stage: str) -> int:
    from telemetry.metrics import LATENCY

    return sum(LATENCY.read().get(stage, (0,)))


@pytest.fixture(autouse=True)
def _empty() -> None:
    PASSAGE.clear()


def frame(received_us: int, event_us: int) -> Frame:
    payload = orjson.dumps({"data": {"e": "trade", "E": event_us, "t": 1}}).decode()
    return Frame(SHARD, received_us, "frame", 1, payload)


def test_a_replay_notes_nothing() -> None:
    assert not Passage()
    assert Passage().of(KEY, 1) is None


def test_a_batch_is_known_until_newer_ones_push_it_out() -> None:
    own = Passage()
    for n in range(9000):
        own.enter(KEY, n, Stamp(1, 2, 3))
    assert own
    assert own.of(KEY, 0) is None
    assert own.of(KEY, 8999) == Stamp(1, 2, 3)
    own.clear()
    assert not own


def test_a_batch_passes_every_stage() -> None:
    before = {stage: counted(stage) for stage in STAGES}
    first = frame(5_000_000, 4_998_000)
    batch: list[tuple[str, Item]] = [
        (SHARD, first),
        (SHARD, first),
        (KEY, trades(1, 10)),
        (KEY, Tick(KEY, 5)),
    ]
    note_batch(batch, first, 2, time.monotonic_ns() - MS, skew_us=0)
    PASSAGE.built(KEY, 10)
    PASSAGE.decided(KEY)
    PASSAGE.decided(KEY)  # nothing new was built
    outbox, lasting = Outbox(), Lasting()
    way = OnTheWay(outbox)
    outbox.add(KEY, Target("trade", ""), ["{}"] * 10)
    way.note(trades(1, 10))
    lasting.note(trades(1, 10))
    way.taken(KEY)
    assert counted("redis") == before["redis"]  # it has not taken them
    (items,) = outbox.next_calls(100, 100).values()
    outbox.taken(KEY, items, 0.0, hold=True)
    way.taken(KEY)
    outbox.resend()
    (items,) = outbox.next_calls(100, 100).values()
    outbox.taken(KEY, items, 0.0, hold=False)
    way.taken(KEY)  # once is enough
    lasting.lasts()
    lasting.lasts()
    found = {stage: counted(stage) - before[stage] for stage in STAGES}
    assert found == {
        "exchange": 2, "source": 2, "klines": 10, "strategies": 1, "redis": 10, "lake": 10,
    }  # fmt: skip


def test_rows_that_are_sent_again_do_not_stand_for_later_ones() -> None:
    outbox = Outbox()
    way = OnTheWay(outbox)

    def put(first: int, last: int) -> None:
        PASSAGE.enter(KEY, last, Stamp(0, 0, last - first + 1))
        outbox.add(KEY, Target("trade", ""), ["{}"] * (last - first + 1))
        way.note(trades(first, last))

    def take(most: int) -> None:
        (items,) = outbox.next_calls(most, most).values()
        outbox.taken(KEY, items, 0.0, hold=True)
        way.taken(KEY)

    before = counted("redis")
    put(1, 10)
    put(11, 20)
    take(10)
    outbox.resend()
    take(10)
    assert counted("redis") == before + 10
    take(10)
    assert counted("redis") == before + 20


def test_what_came_by_rest_or_passed_elsewhere_is_not_measured() -> None:
    first = frame(5_000_000, 4_998_000)
    note_batch([(SHARD, first), (KEY, trades(1, 10, repaired=True))], first, 1, 0, skew_us=0)
    assert PASSAGE.of(KEY, 10) is None
    before = counted("klines")
    PASSAGE.built(KEY, 10)
    PASSAGE.decided(KEY)
    assert counted("klines") == before


def test_a_tick_after_a_batch_is_no_batch() -> None:
    before = counted("strategies")
    PASSAGE.enter(KEY, 10, Stamp(1, time.monotonic_ns(), 10))
    PASSAGE.built(KEY, 10)
    PASSAGE.built(KEY, None)
    PASSAGE.decided(KEY)
    assert counted("strategies") == before


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"e":"trade","E":1757522615939,"s":"X"}', 1757522615939000),
        ('{"e":"trade","E":1757522615939001,"s":"X"}', 1757522615939001),
        ('{"E":', None),
        ('{"E":"soon","s":1}', None),
        ('{"E":' + "9" * 40 + ",", None),
        ("", None),
    ],
)
def test_the_event_time_is_read_from_the_text(payload: str, expected: int | None) -> None:
    assert event_time(payload) == expected


def test_rates_are_of_the_last_seconds() -> None:
    own = Rates()
    assert own.messages(SHARD, 1) is None
    assert own.latency() == {}
    own.look(100.0, {SHARD: {1: 10}})
    assert own.messages(SHARD, 1) is None
    PASSAGE.arrived("redis", 0, 100, at_ns=2 * MS)
    PASSAGE.arrived("redis", 0, 2, at_ns=40 * MS)
    own.look(105.0, {SHARD: {1: 60, 2: 5}})
    assert (own.messages(SHARD, 1), own.messages(SHARD, 2)) == (10.0, 1.0)
    told = own.latency()["redis"]
    assert 1.5 <= told["p50"] <= 2.0
    assert 25.0 <= told["p99"] <= 50.0
    assert "klines" not in own.latency()
    for n in range(20):
        own.look(106.0 + n, {SHARD: {1: 60}})
    assert own.messages(SHARD, 1) == 0.0
    assert own.latency() == {}
