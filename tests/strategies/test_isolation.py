"""Strategies that loop, flood or grow without bound: stopped and told, the others undisturbed."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from core.market.events import StrategyErrored
from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import MOST_BYTES, Strategy, StrategyParams
from strategies.guard import Guard, StrategyTimeout
from strategies.host import StrategyHost
from strategies.registry import BUILT_IN, Registry
from strategies.spec import InstanceSpec

MakeKlines = Callable[..., list[Kline]]
KEY = "binance:BTCUSDT"
SECONDS = 0.3


class _Quiet(Strategy):
    """Base of the bad ones."""

    name = "quiet"

    def setup(self, params: StrategyParams) -> None: ...

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return ()


class Loops(_Quiet):
    """Never comes back, and catches what it can."""

    name = "loops"

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        while True:
            with contextlib.suppress(Exception):
                sum(range(100))


class Floods(_Quiet):
    """Gives signals without end."""

    name = "floods"

    def on_kline(self, kline: Kline) -> Iterator[Signal]:
        while True:
            yield self.long(kline, "more")


class Grows(_Quiet):
    """Keeps all it has seen."""

    name = "grows"
    state = ("seen",)

    def setup(self, params: StrategyParams) -> None:
        self.seen = ""

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        self.seen += "x" * 30_000
        return ()


class Lies(_Quiet):
    """Gives something else."""

    name = "lies"

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return ["buy!"]  # type: ignore[list-item]  # on purpose


REGISTRY = Registry([*BUILT_IN, Loops, Floods, Grows, Lies])
GOOD = tuple(InstanceSpec(name=s.name) for s in BUILT_IN)


def run(host: StrategyHost, klines: Iterable[Kline]) -> list[object]:
    return [said for kline in klines for said in host.on_kline(kline)]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("loops", f"one call took more than {SECONDS:g} s"),
        ("floods", "more than 16 signals for one kline"),
        ("grows", f"keeps more than {MOST_BYTES} bytes in `seen`"),
        ("lies", "on_kline gave a `str`"),
    ],
)
def test_a_bad_one_is_stopped_and_told_and_the_others_say_what_they_would(
    name: str, why: str, klines: MakeKlines, walk: list[float]
) -> None:
    rows = klines(walk[:600])
    expected = run(StrategyHost(KEY, GOOD, REGISTRY), rows)
    specs = (*GOOD[:1], InstanceSpec(name=name), *GOOD[1:])
    host = StrategyHost(KEY, specs, REGISTRY, Guard(SECONDS))
    said = run(host, rows)
    (event,) = [s for s in said if isinstance(s, StrategyErrored)]
    assert event.instance == name
    assert why in event.detail
    assert host.errored == (name,)
    ours = [s for s in said if isinstance(s, Signal)]
    assert [(s.instance, s.open_us, s.side) for s in ours] == [
        (s.instance, s.open_us, s.side) for s in expected if isinstance(s, Signal)
    ]


def test_what_waits_uses_no_processor_time_and_is_let_alone() -> None:
    guard = Guard(0.05)
    guard.enter()
    time.sleep(0.5)  # the machine is busy with others
    guard.leave()


def test_nothing_is_raised_after_a_call_has_ended() -> None:
    guard = Guard(0.0)
    for _ in range(200):
        try:
            guard.enter()
            try:
                sum(range(20_000))
            finally:
                guard.leave()
        except StrategyTimeout:
            guard.leave()
        sum(range(1000))  # would be hit by a late one


def test_a_guard_watches_its_own_thread_only() -> None:
    stopped: list[bool] = []

    def loop() -> None:
        guard = Guard(0.1)
        try:
            guard.enter()
            while True:
                sum(range(100))
        except StrategyTimeout:
            stopped.append(True)
        finally:
            guard.leave()

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join(20)
    assert stopped == [True]
