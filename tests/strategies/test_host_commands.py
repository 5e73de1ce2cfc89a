"""Instances that come, change and go while the host runs: the seam is exact."""

import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.market.events import InstanceChanged
from core.market.kline import Kline
from core.market.ml import Prediction
from core.market.signal import Signal
from strategies.host import StrategyHost
from strategies.registry import BUILT_IN, Registry
from strategies.spec import InstanceSpec, Wanted

MakeKlines = Callable[..., list[Kline]]
KEY = "binance:BTCUSDT"
NAMES = [s.name for s in BUILT_IN]

drawn = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def spec(name: str, **fields: Any) -> InstanceSpec:  # noqa: ANN401 - fields of the model
    return InstanceSpec.model_validate({"name": name, **fields})


def host(*specs: InstanceSpec) -> StrategyHost:
    return StrategyHost(KEY, specs)


def wanted(of: InstanceSpec, command: str = "c", **more: Any) -> Wanted:  # noqa: ANN401 - likewise
    return Wanted.model_validate({"command": command, "spec": of, **more})


def run(of: StrategyHost, klines: Iterable[Kline]) -> list[object]:
    return [said for kline in klines for said in of.on_kline(kline)]


def signals(said: Iterable[object], instance: str) -> list[tuple[int, str, str]]:
    return [
        (s.open_us, s.side.value, s.reason)
        for s in said
        if isinstance(s, Signal) and s.instance == instance
    ]


def again(of: StrategyHost, *specs: InstanceSpec) -> StrategyHost:
    found = host(*specs)
    found.restore(pickle.loads(pickle.dumps(of.snapshot())))
    return found


@given(at=st.integers(0, 1900), name=st.sampled_from(NAMES), restart=st.booleans())
@drawn
def test_one_added_at_any_time_says_what_one_from_the_start_says(
    klines: MakeKlines, walk: list[float], at: int, name: str, restart: bool
) -> None:
    rows = klines(walk[:2000])
    there = host(spec(name))
    expected = signals(run(there, rows), name)
    added = host()
    run(added, rows[:at])  # keeps nothing: no instance wants these klines
    (told,) = added.want(wanted(spec(name)), rows[:at], rows[at].open_us)
    assert (told.state, told.instance) == ("running", name)
    if restart:
        added = again(added)
        assert added.warmed == ()
    said = signals(run(added, rows[at:]), name)
    # From the start, or from where the fetched klines make up for it: the same.
    assert said == [s for s in expected if s[0] >= rows[at].open_us]


@given(at=st.integers(0, 500), known=st.integers(0, 500))
@drawn
def test_kept_klines_and_fetched_ones_meet_without_a_hole_or_a_double(
    klines: MakeKlines, walk: list[float], at: int, known: int
) -> None:
    rows = klines(walk[:1000])
    other = spec("macd_cross", instance="slow", params={"slow": 200})
    hosted = host(other)
    run(hosted, rows[known : known + at])
    # REST may already have a kline that the flow has not closed yet.
    hosted.want(wanted(spec("rsi_reversal")), rows[: known + at + 1], 0)
    run(hosted, rows[known + at :])
    kept = hosted.kept("1m")
    assert [k.open_us for k in kept] == [k.open_us for k in rows[len(rows) - len(kept) :]]


def test_an_update_goes_on_as_one_that_always_had_these_parameters(
    klines: MakeKlines, walk: list[float]
) -> None:
    rows = klines(walk[:3000])
    fast = spec("rsi_reversal", params={"period": 5})
    expected = signals(run(host(fast), rows), "rsi_reversal")
    hosted = host(spec("rsi_reversal"))
    run(hosted, rows[:1500])
    (told,) = hosted.want(wanted(fast, configured=spec("rsi_reversal")), [], 0)
    assert told.detail.startswith("warmed up with")
    assert signals(run(hosted, rows[1500:]), "rsi_reversal") == [
        s for s in expected if s[0] >= rows[1500].open_us
    ]


def test_one_that_is_paused_watches_and_says_nothing(klines: MakeKlines, walk: list[float]) -> None:
    rows, own = klines(walk[:1500]), spec("macd_cross")
    expected = signals(run(host(own), rows), "macd_cross")
    hosted = host(own)
    begun = run(hosted, rows[:500])
    (told,) = hosted.want(wanted(own, "a", state="paused", configured=own), [], 0)
    assert told.state == "paused"
    hosted = again(hosted, own)
    assert run(hosted, rows[500:1000]) == []
    (told,) = hosted.want(wanted(own, "b", configured=own), [], 0)
    assert told.state == "running"
    said = signals(begun + run(hosted, rows[1000:]), "macd_cross")
    seam = rows[500].open_us, rows[1000].open_us
    assert said == [s for s in expected if not seam[0] <= s[0] < seam[1]]


def test_one_that_is_removed_is_gone_over_restarts_too(klines: MakeKlines) -> None:
    own = spec("rsi_reversal")
    hosted = host(own)
    run(hosted, klines([1.0, 2.0]))
    (told,) = hosted.want(wanted(own, state="removed", configured=own), [], 0)
    assert told.state == "removed"
    assert hosted.instances == ()
    assert again(hosted, own).instances == ()


def test_a_command_obeyed_twice_is_obeyed_once(klines: MakeKlines, walk: list[float]) -> None:
    hosted = host()
    hosted.want(wanted(spec("rsi_reversal")), klines(walk[:500]), 0)
    before = hosted.snapshot()
    assert hosted.want(wanted(spec("rsi_reversal")), [], 0) == []
    assert again(hosted).want(wanted(spec("rsi_reversal")), [], 0) == []
    assert hosted.snapshot() == before


def test_settings_that_were_changed_since_hold(klines: MakeKlines) -> None:
    before, now = spec("rsi_reversal"), spec("rsi_reversal", params={"period": 9})
    hosted = host(before)
    run(hosted, klines([1.0]))
    slow = spec("rsi_reversal", params={"period": 50})
    hosted.want(wanted(slow, configured=before), [], 0)
    assert [w.spec.params for w in again(hosted, before).instances] == [{"period": 50}]
    resumed = again(hosted, now)
    assert [w.spec.params for w in resumed.instances] == [{"period": 9}]
    (told,) = resumed.want(wanted(slow, configured=before), [], 0)
    assert (told.state, "settings" in told.detail) == ("refused", True)


def test_one_for_other_symbols_is_not_here() -> None:
    hosted = host()
    assert hosted.want(wanted(spec("rsi_reversal", symbols=["ETHUSDT"])), [], 0) == []
    own = spec("rsi_reversal")
    hosted = host(own)
    moved = spec("rsi_reversal", symbols=["ETHUSDT"])
    (told,) = hosted.want(wanted(moved, configured=own), [], 0)
    assert told.state == "removed"


def test_one_that_cannot_be_made_is_refused_and_the_old_one_goes_on(klines: MakeKlines) -> None:
    own = spec("rsi_reversal")
    hosted = host(own)
    (told,) = hosted.want(wanted(spec("rsi_reversal", params={"period": 1}), configured=own), [], 0)
    assert told.state == "refused"
    assert "period" in told.detail
    assert [w.spec for w in hosted.instances] == [own]
    assert run(hosted, klines([1.0])) == []


def test_the_event_says_which_command_and_what_became_of_it() -> None:
    (told,) = host().want(wanted(spec("rsi_reversal"), "cmd-1"), [], 5_000)
    assert isinstance(told, InstanceChanged)
    assert (told.key, told.time_us, told.command, told.instance) == (
        KEY, 5_000, "cmd-1", "rsi_reversal",
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_one_that_comes_back_after_a_removal_begins_anew(
    name: str, klines: MakeKlines, walk: list[float]
) -> None:
    rows, own = klines(walk[:1500]), spec(name)
    expected = signals(run(host(own), rows), name)
    hosted = host()
    hosted.want(wanted(own, "a"), [], 0)
    run(hosted, rows[:700])
    hosted.want(wanted(own, "b", state="removed"), [], 0)
    run(hosted, rows[700:1000])
    hosted.want(wanted(own, "c"), rows[:1000], 0)
    assert signals(run(hosted, rows[1000:]), name) == [
        s for s in expected if s[0] >= rows[1000].open_us
    ]


FILE = '''
from strategies.base import Strategy


class Says(Strategy):
    """Says the same at every kline."""

    def setup(self, params):
        pass

    def on_kline(self, kline):
        yield self.long(kline, "old")
'''


def test_an_update_takes_the_changed_file(klines: MakeKlines, tmp_path: Path) -> None:
    file = tmp_path / "says.py"
    file.write_text(FILE)
    registry = Registry([])
    registry.load(tmp_path)
    own, rows = spec("says"), klines([1.0, 2.0, 3.0, 4.0])
    hosted = StrategyHost(KEY, [own], registry)
    said = run(hosted, rows[:1])
    file.write_text(FILE.replace("old", "new"))
    said += run(hosted, rows[1:2])
    code = registry.reread("says")
    hosted.want(wanted(own, "a", configured=own, code=code), [], 0)
    said += run(hosted, rows[2:3])
    hosted.want(wanted(own, "b", configured=own, code=code), [], 0)  # the same once more
    said += run(hosted, rows[3:])
    assert [reason for _, _, reason in signals(said, "says")] == ["old", "old", "new", "new"]


@given(at=st.integers(3, 400), restart=st.booleans())
@drawn
def test_one_that_listens_to_a_model_knows_what_it_said_last(
    klines: MakeKlines, walk: list[float], at: int, restart: bool
) -> None:
    rows, own = klines(walk[:500]), spec("ml", params={"short": True})

    def told(kline: Kline) -> Prediction:
        value = 0.5 + (kline.close_units % 7 - 3) / 20
        window = (kline.open_us, kline.close_us)
        return Prediction(KEY, kline.interval, "m", "v1", "d", *window, value)

    def listen(of: StrategyHost, given_rows: Iterable[Kline]) -> list[object]:
        out: list[object] = []
        for kline in given_rows:
            of.on_prediction(told(kline))
            out += of.on_kline(kline)
        return out

    expected = [s for s in signals(listen(host(own), rows), "ml") if s[0] >= rows[at].open_us]
    added = host()
    listen(added, rows[:at])
    added.want(wanted(own), rows[:at], rows[at].open_us)
    if restart:
        added = again(added)
    assert signals(listen(added, rows[at:]), "ml") == expected
    assert expected
