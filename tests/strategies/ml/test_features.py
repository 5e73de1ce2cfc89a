"""What features are, by name and parameters, and what their columns compute."""

import pickle
from dataclasses import replace
from math import cos, isnan, log, pi, sin
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.indicators.registry import INDICATORS
from core.indicators.rsi import Rsi
from core.market.errors import SnapshotError
from core.market.kline import Kline
from strategies.ml.columns import Columns
from strategies.ml.features import Feature, FeatureSet
from tests.strategies.ml.conftest import MakeWalk

DAY_US = 86_400_000_000


def one(**feature: Any) -> FeatureSet:  # noqa: ANN401 - any of its fields
    return FeatureSet.model_validate({"name": "one", "features": [feature]})


def column(klines: list[Kline], **feature: Any) -> list[float]:  # noqa: ANN401 - likewise
    columns = Columns(one(**feature))
    return [columns.update(kline)[0] for kline in klines]


def test_columns_are_named_by_what_they_are(base: FeatureSet) -> None:
    assert base.columns == (
        "rsi_5", "macd_3_6_histogram", "macd_3_6_line", "ema_5_relative", "atr_5_lag_2", "return_1",
        "return_3_volume_lag_1", "volatility_10", "taker_imbalance_5", "time_of_day_sin",
        "day_of_week_cos",
    )  # fmt: skip
    assert one(**{"return": 2, "name": "mine"}).columns == ("mine",)


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ({}, "is one of"),
        ({"return": 1, "volatility": 3}, "this is 2 of them"),
        ({"indicator": "rsy"}, "no indicator `rsy`"),
        ({"indicator": "rsi", "params": {"period": 0}}, "must be a whole number"),
        ({"indicator": "rsi", "params": {"length": 3}}, "length"),
        ({"indicator": "macd"}, "output is one of line, signal, histogram"),
        ({"indicator": "rsi", "output": "line"}, "has one value"),
        ({"indicator": "atr", "source": "close"}, "takes high, low, close"),
        ({"time_of_day": "sin", "source": "close"}, "has no source"),
        ({"return": 1, "params": {"x": 1}}, "only an indicator"),
        ({"return": 0}, "greater than or equal to 1"),
    ],
)
def test_what_is_no_feature_is_refused_in_words(feature: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Feature.model_validate(feature)


def test_a_definition_depends_on_what_is_computed_and_on_nothing_else(base: FeatureSet) -> None:
    other = base.model_copy(update={"name": "other", "warmup": 7})
    assert other.definition == base.definition
    named = one(**{"return": 2, "name": "mine"})
    assert named.definition == one(**{"return": 2}).definition
    assert one(**{"return": 3}).definition != named.definition
    assert one(indicator="rsi", params={"period": 3}).definition != one(indicator="rsi").definition


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two columns `return_1`"):
        FeatureSet.model_validate({"name": "x", "features": [{"return": 1}, {"return": 1}]})


def test_a_column_of_an_indicator_is_the_indicator(make_walk: MakeWalk) -> None:
    klines = make_walk(60)
    rsi = Rsi(5)
    expected = [rsi.update(kline.close) for kline in klines]
    found = column(klines, indicator="rsi", params={"period": 5})
    assert all(isnan(x) if e is None else x == e for x, e in zip(found, expected, strict=True))
    lagged = column(klines, indicator="rsi", params={"period": 5}, lag=3)
    assert lagged[8:] == found[5:-3]
    relative = column(klines, indicator="sma", params={"period": 3}, relative=True)
    mean = sum(k.close for k in klines[7:10]) / 3
    assert relative[9] == pytest.approx(log(klines[9].close / mean), rel=1e-9)


def test_returns_and_the_clock(make_walk: MakeWalk) -> None:
    klines = make_walk(30)
    found = column(klines, **{"return": 5})
    assert all(isnan(x) for x in found[:5])
    assert found[9] == pytest.approx(log(klines[9].close / klines[4].close), rel=1e-12)
    (ninth,) = Columns(one(time_of_day="sin")).update(klines[8])
    assert ninth == pytest.approx(sin(2 * pi * 9 * 60 / 86_400))
    monday = replace(klines[0], close_us=4 * DAY_US - 1)
    assert Columns(one(day_of_week="cos")).update(monday)[0] == pytest.approx(cos(0.0))


def test_every_indicator_can_be_a_feature(make_walk: MakeWalk) -> None:
    klines = make_walk(400)
    for name, found in INDICATORS.items():
        params = {"period": 5} if name in ("dema", "ema", "rma", "sma", "tema", "wma") else {}
        for output in found.parts or ("",):
            columns = Columns(one(indicator=name, params=params, output=output))
            values = [columns.update(kline)[0] for kline in klines]
            assert not isnan(values[-1]), name


def test_a_row_is_ready_when_its_start_no_longer_matters(
    make_walk: MakeWalk, base: FeatureSet
) -> None:
    columns, klines = Columns(base), make_walk(400)
    faults = [columns.fault(columns.update(kline)) for kline in klines]
    assert columns.warmup > columns.lookback
    assert faults[0] == f"warming up, 1 of {columns.warmup} klines"
    assert faults.index("") == columns.warmup - 1
    early = Columns(base.model_copy(update={"warmup": 20}))
    assert [early.fault(early.update(kline)) for kline in klines].index("") == 19


def test_rows_after_the_warm_up_do_not_depend_on_where_it_began(
    make_walk: MakeWalk, base: FeatureSet
) -> None:
    klines = make_walk(700)
    early, late = Columns(base), Columns(base)
    for n, kline in enumerate(klines):
        row = early.update(kline)
        if n >= 700 - late.warmup:
            other = late.update(kline)
    assert late.seen == late.warmup
    assert other == pytest.approx(row, rel=1e-8, abs=1e-9)


def test_a_number_that_is_none_is_named_and_the_others_go_on(make_walk: MakeWalk) -> None:
    columns = Columns(
        FeatureSet.model_validate(
            {"name": "x", "features": [{"return": 1, "source": "volume"}, {"return": 1}]}
        )
    )
    klines = make_walk(5)
    klines[2] = replace(klines[2], volume_units=0, taker_buy_volume_units=0)
    faults = [columns.fault(columns.update(kline)) for kline in klines]
    wrong = "feature `return_1_volume` is not finite"
    assert faults == ["warming up, 1 of 2 klines", "", wrong, wrong, ""]


def test_an_indicator_that_refuses_a_kline_has_no_value_for_it(make_walk: MakeWalk) -> None:
    klines = make_walk(8)
    klines[5] = replace(klines[5], close_units=0, low_units=0)
    found = column(klines, volatility=2)
    assert [isnan(x) for x in found] == [True, True, False, False, False, True, False, False]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(0, 119))
def test_a_snapshot_is_plain_and_goes_on_to_the_bit(
    cut: int, make_walk: MakeWalk, base: FeatureSet
) -> None:
    klines = make_walk(120)
    whole, before, after = Columns(base), Columns(base), Columns(base)
    for kline in klines[:cut]:
        whole.update(kline)
        before.update(kline)
    after.restore(pickle.loads(pickle.dumps(before.snapshot())))
    for kline in klines[cut:]:
        ours, theirs = after.update(kline), whole.update(kline)
        assert list(map(repr, ours)) == list(map(repr, theirs))
        assert after.fault(ours) == whole.fault(theirs)


def test_a_snapshot_of_another_definition_is_refused(base: FeatureSet) -> None:
    with pytest.raises(SnapshotError):
        Columns(one(**{"return": 1})).restore(Columns(base).snapshot())
    damaged = Columns(base).snapshot()
    with pytest.raises(SnapshotError):
        Columns(base).restore((*damaged[:3], (), ()))
