"""The contract of strategies, checked for every registered one."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.market.errors import SnapshotError, StrategyError
from core.market.kline import Kline
from core.market.ml import Prediction
from core.market.signal import Signal
from strategies.base import Strategy
from strategies.registry import REGISTRY

# One line per strategy: parameters that give many signals, and others.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bollinger_breakout": ({"period": 5, "width": 1.0, "short": True}, {"period": 6}),
    "bollinger_reversion": ({"period": 5, "width": 1.0, "short": True}, {"period": 6}),
    "donchian_breakout": ({"entry": 6, "exit": 3}, {"entry": 7}),
    "ema_cross": ({"fast": 2, "slow": 5, "short": True}, {"fast": 3}),
    "macd_cross": ({"fast": 2, "slow": 5, "signal": 3, "short": True}, {"fast": 3}),
    "ml": ({"short": True, "long_above": 0.6}, {"short": True}),
    "rsi_reversal": ({"period": 3, "oversold": 40, "overbought": 60}, {"period": 4}),
    "supertrend": ({"period": 2, "multiplier": 1.0, "short": True}, {"period": 3}),
    "volume_spike": ({"period": 4, "factor": 1.5, "hold": 3, "short": True}, {"period": 5}),
    "vwap_reversion": ({"period": 5, "distance": 0.1, "short": True}, {"period": 6}),
}

every = pytest.mark.parametrize("name", REGISTRY.names())

MakeKlines = Callable[..., list[Kline]]
CLOSES = st.lists(st.integers(90, 110), min_size=1, max_size=80)
once = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def make(name: str) -> Strategy:
    return REGISTRY.find(name)(CASES[name][0], instance="mine")


def fed(strategy: Strategy, kline: Kline) -> list[Signal]:
    # Models say something of every kline but the first of all.
    value = (kline.close_units // 10_000 % 101) / 100 if kline.open_us else None
    strategy.predicted(
        Prediction(kline.key, kline.interval, "any", "", "", kline.open_us, kline.close_us, value)
    )
    return strategy.feed(kline)


def run(strategy: Strategy, klines: list[Kline]) -> list[Signal]:
    return [signal for kline in klines for signal in fed(strategy, kline)]


def test_every_registered_strategy_has_a_case() -> None:
    assert sorted(CASES) == list(REGISTRY.names())


@every
def test_it_speaks_only_once_its_indicators_know_and_then_it_does(
    name: str, klines: MakeKlines, walk: list[float]
) -> None:
    strategy = make(name)
    given = klines(walk)
    assert run(strategy, given[: strategy.lookback]) == []
    assert len(run(strategy, given[strategy.lookback :])) > 50
    assert strategy.convergence >= strategy.lookback


@every
def test_a_signal_says_who_where_when_and_why(
    name: str, klines: MakeKlines, walk: list[float]
) -> None:
    strategy = make(name)
    for kline in klines(walk, name="5m"):
        for signal in fed(strategy, kline):
            assert (signal.key, signal.interval.name) == ("binance:BTCUSDT", "5m")
            assert (signal.strategy, signal.instance) == (name, "mine")
            assert (signal.open_us, signal.close_us) == (kline.open_us, kline.close_us)
            assert signal.price == kline.text("close")
            assert any(character.isdigit() for character in signal.reason)
            assert signal.values
            assert {type(x) for _, x in signal.values} == {float}


@every
@given(closes=CLOSES, cut=st.integers(0, 80))
@once
def test_a_snapshot_resumes_where_it_was_taken(
    name: str, klines: MakeKlines, closes: list[float], cut: int
) -> None:
    given_klines = klines(closes)
    straight, first, second = make(name), make(name), make(name)
    expected = run(straight, given_klines)
    begun = run(first, given_klines[:cut])
    second.restore(pickle.loads(pickle.dumps(first.snapshot())))
    assert begun + run(second, given_klines[cut:]) == expected
    assert second.snapshot() == straight.snapshot()


def _leaves(value: object) -> list[object]:
    return [y for x in value for y in _leaves(x)] if isinstance(value, tuple) else [value]


@every
def test_a_snapshot_is_made_of_tuples_of_plain_values(
    name: str, klines: MakeKlines, walk: list[float]
) -> None:
    strategy = make(name)
    run(strategy, klines(walk[:100]))
    kinds = {type(x) for x in _leaves(strategy.snapshot())}
    assert kinds <= {int, float, str, bool, type(None)}


@every
def test_a_snapshot_of_other_parameters_or_another_strategy_is_refused(name: str) -> None:
    other = REGISTRY.find(name)(CASES[name][1])
    taken = make(name).snapshot()
    with pytest.raises(SnapshotError, match=name):
        other.restore(taken)
    damages = ((), taken[:-1], (*taken[:-1], ()), (*taken[:-2], 1, 2), ("x", *taken[1:]))
    for damaged in damages:
        if damaged != taken:  # one without indicators has none in its snapshot
            with pytest.raises(SnapshotError):
                make(name).restore(damaged)


@every
def test_two_instances_say_the_same_and_do_not_share_state(
    name: str, klines: MakeKlines, walk: list[float]
) -> None:
    given = klines(walk[:500])
    alone = run(make(name), given)
    one, other = make(name), make(name)
    both = [(fed(one, kline), fed(other, kline)) for kline in given]
    assert [s for said, _ in both for s in said] == alone
    assert [s for _, said in both for s in said] == alone


@every
def test_after_its_convergence_a_late_instance_says_what_an_early_one_says(
    name: str, klines: MakeKlines, closes: list[float]
) -> None:
    strategy = REGISTRY.find(name)
    given = klines(closes)
    for start in (100, 777, 1500):
        seam = start + strategy().convergence
        early = [s for s in run(strategy(), given) if s.open_us >= given[seam].open_us]
        late = [s for s in run(strategy(), given[start:]) if s.open_us >= given[seam].open_us]
        assert [(s.open_us, s.side, s.reason) for s in late] == [
            (s.open_us, s.side, s.reason) for s in early
        ]


@every
def test_each_parameter_is_described_bounded_and_has_a_default(name: str) -> None:
    schema = REGISTRY.find(name).Params.model_json_schema()
    assert schema["additionalProperties"] is False
    for parameter, about in schema["properties"].items():
        assert about["description"].endswith("."), parameter
        assert "default" in about, parameter
        if about["type"] in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & about.keys(), parameter
            assert {"maximum", "exclusiveMaximum"} & about.keys(), parameter


@every
def test_the_docstring_names_the_source(name: str) -> None:
    assert "\nSource: " in (REGISTRY.find(name).__doc__ or "").replace("    ", "")


@every
def test_an_unknown_parameter_is_refused(name: str) -> None:
    parameter = next(iter(REGISTRY.find(name).Params.model_fields))
    with pytest.raises(StrategyError) as caught:
        REGISTRY.find(name)({f"{parameter}x": 1})
    assert f"no parameter `{parameter}x`" in str(caught.value)
    assert f"hint: did you mean `{parameter}`?" in str(caught.value)
