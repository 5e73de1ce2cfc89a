"""One instance that looks at several symbols: what it says depends on their klines, not on who was
faster.
"""

import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.indicators.ema import Ema
from core.indicators.sma import Sma
from core.market.errors import StrategyError
from core.market.events import InstanceChanged, StrategyErrored
from core.market.intervals import MINUTE_US
from core.market.kline import Kline
from core.market.signal import Signal
from strategies import basket as baskets
from strategies.base import Strategy, StrategyParams
from strategies.basket import Basket, Enlist
from strategies.history import in_order
from strategies.host import StrategyHost
from strategies.registry import Registry
from strategies.spec import InstanceSpec, Wanted, basket_key

MakeKlines = Callable[..., list[Kline]]
BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"
KEY = "binance:ETHUSDT+BTCUSDT~pair"

drawn = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Pair(Strategy):
    """Speaks of every kline, with all that it sees."""

    legs = ("btc",)

    class Params(StrategyParams):
        period: int = 3

    def setup(self, params: Params) -> None:
        self.own = self.use(Sma(params.period))
        self.other = self.use(Ema(4), leg="btc")
        self.far = self.use(Sma(2), leg="btc", interval="5m")

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        beside = self.leg("btc", kline)
        close = "none" if beside is None else f"{beside.close:g}"
        if kline.close == 13.0:
            raise RuntimeError("unlucky")
        yield self.long(
            kline, f"{self.own.value:.9f} {self.other.value:.9f} {self.far.value:.9f} {close}"
        )


REGISTRY = Registry([Pair])
SPEC = InstanceSpec(name="pair", symbols=("ETHUSDT",), legs={"btc": "BTCUSDT"})


def market(klines: MakeKlines, closes: Sequence[float]) -> dict[str, list[Kline]]:
    """What the flow gives of each symbol: BTC has 5m klines as well."""
    btc = [2 * close for close in closes]
    return {
        ETH: klines(closes, key=ETH),
        BTC: list(in_order([klines(btc[4::5], name="5m", key=BTC), klines(btc, key=BTC)])),
    }


class Flow:
    """Hosts of both symbols and their basket."""

    def __init__(self, *specs: InstanceSpec) -> None:
        self.specs = specs
        self.hosts = {key: StrategyHost(key, specs, REGISTRY) for key in (BTC, ETH)}
        self.basket = self.made()
        self.out: list[object] = []

    def made(self) -> Basket:
        own = next((s for s in self.specs if s.instance == "pair"), None)
        return Basket(KEY, own, REGISTRY)

    def give(self, kline: Kline) -> None:
        assert self.hosts[kline.key].on_kline(kline) == []
        self.carry(kline.key)

    def tell(self, key: str, wanted: Wanted, fetched: Iterable[Kline], time_us: int) -> None:
        self.out += self.hosts[key].want(wanted, fetched, time_us)
        self.carry(key)

    def carry(self, key: str) -> None:
        for sent in self.hosts[key].sent():
            assert sent.basket == KEY
            self.out += self.basket.take(pickle.loads(pickle.dumps(sent)).item)

    def restart(self) -> None:
        for key, host in list(self.hosts.items()):
            self.hosts[key] = StrategyHost(key, self.specs, REGISTRY)
            self.hosts[key].restore(pickle.loads(pickle.dumps(host.snapshot())))
        saved = pickle.loads(pickle.dumps(self.basket.snapshot()))
        self.basket = self.made()
        self.basket.restore(saved)

    @property
    def said(self) -> list[tuple[int, str]]:
        return [(s.open_us, s.reason) for s in self.out if isinstance(s, Signal)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(c.command, c.state) for c in self.out if isinstance(c, InstanceChanged)]


def mixed(rows: dict[str, list[Kline]], choices: Sequence[bool]) -> list[Kline]:
    """Both series, each in its order, and between them in the order that is drawn."""
    eth, btc = list(reversed(rows[ETH])), list(reversed(rows[BTC]))
    out = []
    for choice in choices:
        side = eth if choice else btc
        if side:
            out.append(side.pop())
    return [*out, *reversed(eth), *reversed(btc)]


def straight(klines: MakeKlines, closes: Sequence[float], spec: InstanceSpec = SPEC) -> Flow:
    flow = Flow(spec)
    rows = market(klines, closes)
    for kline in in_order([rows[BTC], rows[ETH]]):
        flow.give(kline)
    return flow


def test_its_klines_are_aligned_on_their_end_the_legs_before_its_own(
    klines: MakeKlines, walk: list[float]
) -> None:
    closes = walk[:40]
    own, other, far = Sma(3), Ema(4), Sma(2)
    expected = []
    for i, close in enumerate(closes):
        if i % 5 == 4:
            far.update(2 * close)
        other.update(2 * close)
        own.update(close)
        if far.value is not None:
            text = f"{own.value:.9f} {other.value:.9f} {far.value:.9f} {2 * close:g}"
            expected.append((i * MINUTE_US, text))
    assert straight(klines, closes).said == expected


@given(choices=st.lists(st.booleans(), max_size=120), stops=st.sets(st.integers(0, 100)))
@drawn
def test_it_says_the_same_whoever_is_faster_and_wherever_it_is_restarted(
    klines: MakeKlines, walk: list[float], choices: list[bool], stops: set[int]
) -> None:
    expected = straight(klines, walk[:45])
    flow = Flow(SPEC)
    for n, kline in enumerate(mixed(market(klines, walk[:45]), choices)):
        flow.give(kline)
        if n in stops:
            flow.restart()
    assert flow.out == expected.out
    assert {s.key for s in flow.out if isinstance(s, Signal)} == {KEY}
    seqs = [s.seq for s in flow.out if isinstance(s, Signal)]
    assert seqs == sorted(set(seqs))


@given(
    eth_at=st.integers(200, 260),
    btc_at=st.integers(200, 260),
    choices=st.lists(st.booleans(), max_size=300),
    restart=st.booleans(),
)
@drawn
def test_one_added_at_any_time_says_what_one_from_the_start_says(
    klines: MakeKlines,
    walk: list[float],
    eth_at: int,
    btc_at: int,
    choices: list[bool],
    restart: bool,
) -> None:
    expected = straight(klines, walk[:300]).said
    rows = market(klines, walk[:300])
    flow = Flow()
    told = Wanted(command="c", spec=SPEC)
    at = {ETH: eth_at, BTC: btc_at}
    seen: dict[str, list[Kline]] = {ETH: [], BTC: []}
    for kline in mixed(rows, choices):
        key = kline.key
        if kline.interval.name == "1m" and kline.open_us == at[key] * MINUTE_US:
            flow.tell(key, told, seen[key], kline.open_us + 7)
            if restart:
                flow.restart()
        flow.give(kline)
        seen[key].append(kline)
    seam_us = max(eth_at, btc_at) * MINUTE_US
    assert flow.said == [s for s in expected if s[0] >= seam_us]
    assert flow.states == [("c", "running")]


@pytest.mark.parametrize("late", [BTC, ETH])
def test_commands_take_effect_behind_the_latest_place(
    klines: MakeKlines, walk: list[float], late: str
) -> None:
    rows = market(klines, walk[:400])
    other = SPEC.model_copy(update={"params": {"period": 5}})
    plain, changed = straight(klines, walk[:400]).said, straight(klines, walk[:400], other).said
    flow = Flow(SPEC)
    commands = [
        (200, Wanted(command="a", spec=SPEC, configured=SPEC, state="paused")),
        (250, Wanted(command="b", spec=SPEC, configured=SPEC)),
        (300, Wanted(command="c", spec=other, configured=SPEC)),
        (350, Wanted(command="d", spec=other, configured=SPEC, state="removed")),
    ]
    for kline in in_order([rows[BTC], rows[ETH]]):
        for minute, wanted in commands:
            here = minute + 3 * (kline.key == late)
            if kline.interval.name == "1m" and kline.open_us == here * MINUTE_US:
                flow.tell(kline.key, wanted, [], kline.open_us + 1)
                flow.restart()
        flow.give(kline)
    m = MINUTE_US
    assert flow.said == [
        *(s for s in plain if s[0] < 203 * m),
        *(s for s in plain if 253 * m <= s[0] < 303 * m),
        *(s for s in changed if 303 * m <= s[0] < 350 * m),
    ]
    states = ("paused", "running", "running", "removed")
    assert flow.states == list(zip("abcd", states, strict=True))
    assert flow.basket.status() == []


@given(
    places=st.lists(st.integers(0, 3), min_size=10, max_size=10),
    choices=st.lists(st.booleans(), max_size=400),
    stops=st.sets(st.integers(0, 400), max_size=5),
)
@drawn
def test_a_symbol_may_be_many_commands_ahead_of_the_other(
    klines: MakeKlines,
    walk: list[float],
    places: list[int],
    choices: list[bool],
    stops: set[int],
) -> None:
    other = SPEC.model_copy(update={"params": {"period": 5}})
    commands = [
        (60, Wanted(command="a", spec=SPEC)),
        (70, Wanted(command="b", spec=other)),
        (80, Wanted(command="c", spec=other, state="paused")),
        (90, Wanted(command="d", spec=other, state="removed")),
        (150, Wanted(command="e", spec=SPEC)),
    ]
    at = {
        key: {commands[n][0] + places[n + offset]: commands[n][1] for n in range(5)}
        for key, offset in ((ETH, 0), (BTC, 5))
    }
    rows = market(klines, walk[:200])

    def run(order: list[Kline]) -> Flow:
        flow = Flow()
        seen: dict[str, list[Kline]] = {ETH: [], BTC: []}
        for n, kline in enumerate(order):
            key, minute = kline.key, kline.open_us // MINUTE_US
            if kline.interval.name == "1m" and minute in at[key]:
                flow.tell(key, at[key][minute], seen[key], kline.open_us + 7)
            flow.give(kline)
            seen[key].append(kline)
            if n in stops:
                flow.restart()
        return flow

    expected = run(list(in_order([rows[BTC], rows[ETH]])))
    flow = run(mixed(rows, choices))
    assert flow.said == expected.said
    assert flow.states == expected.states
    assert [state for _, state in flow.states] == [
        "running", "running", "paused", "removed", "running",
    ]  # fmt: skip
    plain = straight(klines, walk[:200]).said
    last = max(150 + places[4], 150 + places[9]) * MINUTE_US
    assert [s for s in flow.said if s[0] >= last] == [s for s in plain if s[0] >= last]


def test_a_leg_without_a_kline_in_a_window_is_none_there(
    klines: MakeKlines, walk: list[float]
) -> None:
    rows = market(klines, walk[:40])
    rows[BTC] = [k for k in rows[BTC] if k.interval.name == "5m" or k.open_us != 30 * MINUTE_US]
    flow = Flow(SPEC)
    for kline in in_order([rows[BTC], rows[ETH]]):
        flow.give(kline)
    without = [text for open_us, text in flow.said if text.endswith("none")]
    assert len(without) == 1
    assert len(flow.said) == len(straight(klines, walk[:40]).said)


def test_one_that_raises_is_stopped_and_told_once(klines: MakeKlines, walk: list[float]) -> None:
    flow = straight(klines, [*walk[:30], 13.0, *walk[30:40]])
    (told,) = [e for e in flow.out if isinstance(e, StrategyErrored)]
    assert (told.key, told.instance) == (KEY, "pair")
    assert told.detail.endswith("RuntimeError: unlucky")
    assert flow.said[-1][0] == 29 * MINUTE_US
    flow.restart()
    assert [row["state"] for row in flow.basket.status()] == ["errored"]


def test_a_symbol_that_is_left_behind_stops_it_before_memory_grows(
    klines: MakeKlines, walk: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baskets, "MOST_WAITING", 50)
    flow = Flow(SPEC)
    rows = market(klines, walk[:200])
    for kline in rows[ETH]:
        flow.give(kline)
    (told,) = [e for e in flow.out if isinstance(e, StrategyErrored)]
    assert told.detail == "BTCUSDT is 50 klines behind ETHUSDT: is it still followed?"


def test_a_command_is_obeyed_once(klines: MakeKlines, walk: list[float]) -> None:
    flow = Flow()
    told = Wanted(command="c", spec=SPEC)
    for key in (BTC, ETH):
        flow.tell(key, told, klines(walk[:9], key=key), 1)
    for key in (BTC, ETH):
        flow.out += flow.basket.take(Enlist(key, 1, told.model_dump_json(), ()))
    assert flow.states == [("c", "running")]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"legs": {}}, "its legs are \\['btc'\\], not \\[\\]"),
        ({"instance": "x" * 40}, "is too long a name"),
    ],
)
def test_what_cannot_be_is_refused_in_words(fields: dict[str, Any], text: str) -> None:
    spec = InstanceSpec.model_validate({**SPEC.model_dump(), **fields})
    with pytest.raises(StrategyError, match=text):
        REGISTRY.check(spec)


@pytest.mark.parametrize("symbols", [["*"], ["ETHUSDT", "SOLUSDT"], ["BTCUSDT"]])
def test_legs_go_with_one_symbol_of_its_own(symbols: list[str]) -> None:
    with pytest.raises(ValueError, match="legs"):
        InstanceSpec.model_validate({**SPEC.model_dump(), "symbols": symbols})


def test_it_speaks_under_a_key_of_its_own() -> None:
    assert basket_key(BTC, SPEC) == basket_key(ETH, SPEC) == KEY
