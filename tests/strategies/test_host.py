"""The strategy host: isolation, order, positions, snapshots, warming up."""

import pickle
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from core.indicators.ema import Ema
from core.indicators.sma import Sma
from core.market.errors import SnapshotError, StrategyError
from core.market.events import PAYLOAD_LIMIT, StrategyErrored
from core.market.kline import Kline, Status
from core.market.signal import Signal
from strategies.base import Snapshot, Strategy, StrategyParams
from strategies.host import StrategyHost
from strategies.registry import BUILT_IN, Registry
from strategies.spec import InstanceSpec

MakeKlines = Callable[..., list[Kline]]
KEY = "binance:BTCUSDT"
MINUTE_US = 60_000_000


class Always(Strategy):
    """Long at every kline."""

    def setup(self, params: StrategyParams) -> None: ...

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        yield self.long(kline, "always")


class RaisesAt(Strategy):
    """Long at every kline until the price is `price`, where it raises after a signal."""

    class Params(StrategyParams):
        price: Annotated[float, Field(gt=0, description="Where it raises.")] = 3.0

    params: Params

    def setup(self, params: Params) -> None: ...

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        yield self.long(kline, "so far")
        if kline.close == self.params.price:
            raise RuntimeError(f"cannot bear {kline.close}")


class Crosses(Strategy):
    """Long where an exponential mean crosses a simple one."""

    state = ("above",)

    def setup(self, params: StrategyParams) -> None:
        self.fast, self.slow = self.use(Ema(5)), self.use(Sma(10))
        self.above: bool | None = None

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        fast, slow = self.fast.value, self.slow.value
        assert fast is not None
        assert slow is not None
        before, self.above = self.above, fast > slow
        if before is not None and before != self.above:
            yield (self.long if self.above else self.flat)(kline, f"{fast:.6f} {slow:.6f}")


class CannotSave(Always):
    """Cannot be saved."""

    def snapshot(self) -> Snapshot:
        raise OSError("no snapshot")


class RaisesEndlessly(Always):
    """Raises what takes pages to tell."""

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        raise ValueError("x" * 100_000 + "end")


REGISTRY = Registry([*BUILT_IN, Always, RaisesAt, Crosses, CannotSave, RaisesEndlessly])


def host(*specs: InstanceSpec, registry: Registry = REGISTRY, key: str = KEY) -> StrategyHost:
    return StrategyHost(key, specs, registry)


def run(of: StrategyHost, klines: Iterable[Kline]) -> list[Signal | StrategyErrored]:
    return [said for kline in klines for said in of.on_kline(kline)]


def spec(name: str, **fields: Any) -> InstanceSpec:  # noqa: ANN401 - fields of the model
    return InstanceSpec.model_validate({"name": name, **fields})


def who(said: Iterable[Signal | StrategyErrored]) -> list[str]:
    return [f"{s.instance}!" if isinstance(s, StrategyErrored) else s.instance for s in said]


def test_instances_speak_in_the_order_configured(klines: MakeKlines) -> None:
    hosted = host(*(spec("always", instance=name) for name in "cab"))
    assert who(run(hosted, klines([1.0, 2.0]))) == ["c", "a", "b"] * 2


def test_positions_rise_from_the_close_of_the_kline(klines: MakeKlines) -> None:
    hosted = host(*(spec("always", instance=name) for name in "ab"))
    first, second, third, _ = run(hosted, klines([1.0, 2.0]))
    assert first.seq == (MINUTE_US - 1) // 1000 << 20
    assert second.seq == first.seq + 1
    assert third.seq == (2 * MINUTE_US - 1) // 1000 << 20


def test_an_instance_sees_its_own_interval_and_symbols_only(klines: MakeKlines) -> None:
    specs = (
        spec("always", instance="minutes"),
        spec("always", instance="fives", interval="5m"),
        spec("always", instance="others", symbols=["ETHUSDT"]),
    )
    hosted = host(*specs)
    assert who(run(hosted, klines([1.0, 2.0]))) == ["minutes"] * 2
    assert who(run(hosted, klines([1.0], name="5m"))) == ["fives"]
    assert run(hosted, klines([1.0], name="1h")) == []
    assert hosted.kept("1h") == ()
    other = host(*specs, key="binance:ETHUSDT")
    assert who(run(other, klines([1.0], key="binance:ETHUSDT"))) == ["minutes", "others"]


def test_a_host_without_instances_is_silent_and_can_be_saved(klines: MakeKlines) -> None:
    hosted = host()
    assert run(hosted, klines([1.0])) == []
    host().restore(hosted.snapshot())


def test_forming_klines_are_not_shown(klines: MakeKlines) -> None:
    (kline,) = klines([1.0])
    hosted = host(spec("always"))
    assert hosted.on_kline(replace(kline, status=Status.FORMING)) == []
    assert len(hosted.on_kline(kline)) == 1


def test_a_kline_of_another_instrument_is_refused(klines: MakeKlines) -> None:
    (kline,) = klines([1.0], key="binance:ETHUSDT")
    with pytest.raises(StrategyError, match="was given a kline of `binance:ETHUSDT`"):
        host(spec("always")).on_kline(kline)


def test_two_instances_of_one_name_are_refused() -> None:
    with pytest.raises(StrategyError, match="two instances named `always`"):
        host(spec("always"), spec("always", interval="5m"))


def test_one_that_raises_is_stopped_told_once_and_the_others_go_on(klines: MakeKlines) -> None:
    hosted = host(spec("always", instance="a"), spec("raises_at"), spec("always", instance="z"))
    said = run(hosted, klines([1.0, 2.0, 3.0, 4.0]))
    assert who(said) == ["a", "raises_at", "z"] * 2 + ["a", "raises_at!", "z"] + ["a", "z"]
    assert [s.seq for s in said] == sorted({s.seq for s in said})
    (event,) = [s for s in said if isinstance(s, StrategyErrored)]
    assert (event.key, event.time_us) == (KEY, 3 * MINUTE_US - 1)
    assert event.detail.startswith("Traceback")
    assert event.detail.endswith("RuntimeError: cannot bear 3.0")
    assert "in on_kline" in event.detail
    assert hosted.errored == ("raises_at",)


def test_what_is_told_of_an_error_is_bounded(klines: MakeKlines) -> None:
    (event,) = run(host(spec("raises_endlessly")), klines([1.0]))
    assert isinstance(event, StrategyErrored)
    assert len(event.detail) == PAYLOAD_LIMIT
    assert event.detail.endswith("end")


def test_a_revision_is_kept_and_not_fed_again(klines: MakeKlines) -> None:
    given_klines = klines([1.0, 2.0, 3.0, 4.0])
    hosted, undisturbed = (
        host(spec("crosses"), spec("always")),
        host(spec("crosses"), spec("always")),
    )
    run(hosted, given_klines[:3])
    revised = replace(given_klines[1], close_units=9_000_000, revision=1)
    assert hosted.on_kline(revised) == []
    assert hosted.kept("1m") == (given_klines[0], revised, given_klines[2])
    assert run(hosted, given_klines[3:]) == run(undisturbed, given_klines)[-1:]


def test_it_keeps_as_many_klines_as_its_slowest_instance_needs(
    klines: MakeKlines, walk: list[float]
) -> None:
    hosted = host(spec("bollinger_breakout"), spec("rsi_reversal", interval="5m"))
    given_klines = klines(walk)
    run(hosted, given_klines)
    run(hosted, klines(walk, name="5m"))
    assert list(hosted.kept("1m")) == given_klines[-21:]
    assert len(hosted.kept("5m")) == 389


EVERY = tuple(spec(s.name) for s in BUILT_IN)


@given(cut=st.integers(0, 400))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_snapshot_resumes_where_it_was_taken(
    klines: MakeKlines, walk: list[float], cut: int
) -> None:
    given_klines = klines(walk[:400])
    straight, first, second = host(*EVERY), host(*EVERY), host(*EVERY)
    expected = run(straight, given_klines)
    begun = run(first, given_klines[:cut])
    second.restore(pickle.loads(pickle.dumps(first.snapshot())))
    assert second.warmed == ()
    assert begun + run(second, given_klines[cut:]) == expected
    assert second.snapshot() == straight.snapshot()


def _leaves(value: object) -> list[object]:
    return [y for x in value for y in _leaves(x)] if isinstance(value, tuple) else [value]


def test_a_snapshot_is_made_of_tuples_of_plain_values_and_does_not_grow(
    klines: MakeKlines, walk: list[float]
) -> None:
    hosted = host(*EVERY, spec("raises_at", params={"price": walk[3]}))
    run(hosted, klines(walk[:1000]))
    taken = hosted.snapshot()
    assert {type(x) for x in _leaves(taken)} <= {int, float, str, bool, bytes, type(None)}
    size = len(pickle.dumps(taken))
    run(hosted, klines(walk[1000:], first=1000))
    assert len(pickle.dumps(hosted.snapshot())) <= size + 200


def test_a_snapshot_of_another_instrument_or_version_is_refused() -> None:
    taken = host(spec("always")).snapshot()
    with pytest.raises(SnapshotError, match="snapshot of strategies is"):
        host(spec("always"), key="binance:ETHUSDT").restore(taken)
    with pytest.raises(SnapshotError):
        host(spec("always")).restore((taken[0], 99, *taken[2:]))


class Newer(Crosses):
    """The same, grown older."""

    name = "crosses"
    version = 2


def test_an_instance_of_another_version_warms_up_from_the_kept_klines_and_says_so(
    klines: MakeKlines, walk: list[float]
) -> None:
    given_klines = klines(walk)
    specs = (spec("crosses"), *EVERY)
    straight, old = host(*specs), host(*specs)
    expected = run(straight, given_klines)
    begun = run(old, given_klines[:2000])
    new = host(*specs, registry=Registry([*BUILT_IN, Newer]))
    new.restore(old.snapshot())
    assert new.warmed == ("crosses",)
    assert begun + run(new, given_klines[2000:]) == expected


class Grown(Crosses):
    """Changed by somebody who forgot to raise the version."""

    name = "crosses"

    def setup(self, params: StrategyParams) -> None:
        self.fast, self.slow = self.use(Ema(5)), self.use(Sma(12))
        self.above = None


def test_an_instance_that_can_be_resumed_only_in_part_begins_anew(
    klines: MakeKlines, walk: list[float]
) -> None:
    old = host(spec("crosses"))
    run(old, klines(walk[:500]))
    new = host(spec("crosses"), registry=Registry([Grown]))
    new.restore(old.snapshot())
    assert new.warmed == ("crosses",)
    fresh = Grown()
    for kline in new.kept("1m"):
        fresh.feed(kline)
    assert fresh.snapshot() in _tuples(new.snapshot())


def _tuples(value: object) -> list[object]:
    return [value, *(y for x in value for y in _tuples(x))] if isinstance(value, tuple) else []


def test_positions_rise_on_over_a_restart(klines: MakeKlines) -> None:
    specs = (spec("always"), spec("always", instance="fives", interval="5m"))
    before, after = host(*specs), host(*specs)
    (first,) = run(before, klines([1.0], first=4))
    after.restore(before.snapshot())
    (second,) = run(after, klines([1.0], name="5m"))
    assert second.seq == first.seq + 1


@pytest.mark.parametrize("strategy", [s.name for s in BUILT_IN])
def test_an_added_instance_says_what_it_would_had_it_run_from_the_start(
    strategy: str, klines: MakeKlines, walk: list[float]
) -> None:
    given_klines = klines(walk)
    seam = given_klines[1500].open_us
    there = [s for s in run(host(spec(strategy)), given_klines) if isinstance(s, Signal)]
    before = host(spec("macd_cross", instance="slow", params={"slow": 60}))
    run(before, given_klines[:1500])
    after = host(spec("macd_cross", instance="slow", params={"slow": 60}), spec(strategy))
    after.restore(before.snapshot())
    assert after.warmed == (strategy,)
    said = [s for s in run(after, given_klines[1500:]) if s.instance == strategy]
    assert [(s.open_us, s.side, s.reason) for s in said if isinstance(s, Signal)] == [
        (s.open_us, s.side, s.reason) for s in there if s.open_us >= seam
    ]


def test_one_removed_from_the_settings_is_forgotten(klines: MakeKlines) -> None:
    both = host(spec("always", instance="a"), spec("always", instance="b"))
    run(both, klines([1.0]))
    one = host(spec("always", instance="b"))
    one.restore(both.snapshot())
    assert who(run(one, klines([2.0], first=1))) == ["b"]


def test_one_that_raised_stays_stopped_over_a_restart(klines: MakeKlines) -> None:
    given_klines = klines([1.0, 3.0, 1.0])
    first = host(spec("raises_at"))
    assert who(run(first, given_klines[:2])) == ["raises_at", "raises_at!"]
    second = host(spec("raises_at"))
    second.restore(first.snapshot())
    assert (second.errored, second.warmed) == (("raises_at",), ())
    assert run(second, given_klines[2:]) == []
    assert second.snapshot() == host_after(second).snapshot()


def host_after(of: StrategyHost) -> StrategyHost:
    again = host(spec("raises_at"))
    again.restore(of.snapshot())
    return again


def test_one_that_raised_runs_again_with_other_parameters(klines: MakeKlines) -> None:
    first = host(spec("raises_at"))
    run(first, klines([1.0, 3.0]))
    second = host(spec("raises_at", params={"price": 4.0}))
    second.restore(first.snapshot())
    assert (second.errored, second.warmed) == ((), ("raises_at",))
    assert who(run(second, klines([1.0], first=2))) == ["raises_at"]


def test_one_that_raises_while_warming_up_is_told_with_the_next_kline(klines: MakeKlines) -> None:
    before = host(spec("always"))
    run(before, klines([3.0]))
    after = host(spec("always"), spec("raises_at"))
    after.restore(before.snapshot())
    assert after.errored == ("raises_at",)
    again = host(spec("always"), spec("raises_at"))
    again.restore(pickle.loads(pickle.dumps(after.snapshot())))
    assert who(run(again, klines([1.0, 1.0], first=1))) == ["always", "raises_at!", "always"]


def test_one_that_cannot_be_saved_does_not_keep_the_others_from_it(klines: MakeKlines) -> None:
    hosted = host(spec("cannot_save"), spec("always"))
    run(hosted, klines([1.0]))
    taken = hosted.snapshot()
    assert hosted.errored == ("cannot_save",)
    said = run(hosted, klines([2.0, 3.0], first=1))
    assert who(said) == ["cannot_save!", "always", "always"]
    again = host(spec("cannot_save"), spec("always"))
    again.restore(taken)
    assert again.errored == ("cannot_save",)
