"""Predictions to signals, by thresholds."""

import pickle
from collections.abc import Iterable
from typing import Any

import pytest

from core.market.errors import StrategyError
from core.market.intervals import interval
from core.market.ml import Prediction
from strategies.ml.strategy import MlStrategy
from tests.strategies.ml.conftest import KEY, MakeWalk


def prediction(open_us: int, value: float | None, **more: Any) -> Prediction:  # noqa: ANN401 - any of its fields
    fields: dict[str, Any] = {
        "model": "up",
        "version": "aaaa",
        "reason": "" if value is not None else "warming up",
    }
    fields |= more
    return Prediction(
        key=KEY, interval=interval("1m"), definition="d", open_us=open_us,
        close_us=open_us + 59_999_999, value=value, **fields,
    )  # fmt: skip


def said(
    strategy: MlStrategy, make_walk: MakeWalk, values: Iterable[float | None], **more: Any  # noqa: ANN401 - likewise
) -> list[tuple[int, str]]:  # fmt: skip
    values = list(values)
    found = []
    for n, (kline, value) in enumerate(zip(make_walk(len(values)), values, strict=True)):
        strategy.predicted(prediction(kline.open_us, value, **more))
        found += [(n, signal.side.value) for signal in strategy.feed(kline)]
    return found


def make(**params: Any) -> MlStrategy:  # noqa: ANN401 - any of its parameters
    return MlStrategy({"model": "up", **params})


def test_it_is_long_while_the_prediction_is_high(make_walk: MakeWalk) -> None:
    values = [None, 0.5, 0.55, 0.9, 0.54, 0.2, 0.6]
    assert said(make(), make_walk, values) == [(2, "long"), (4, "flat"), (6, "long")]


def test_it_is_short_only_where_that_is_wanted(make_walk: MakeWalk) -> None:
    values = [0.3, 0.4, 0.7, 0.2]
    assert said(make(short=True, short_below=0.35), make_walk, values) == [
        (0, "short"), (1, "flat"), (2, "long"), (3, "short"),
    ]  # fmt: skip


def test_a_margin_keeps_a_position(make_walk: MakeWalk) -> None:
    values = [0.6, 0.52, 0.5, 0.49, 0.3, 0.38, 0.4]
    own = make(margin=0.05, short=True, short_below=0.35)
    assert said(own, make_walk, values) == [(0, "long"), (2, "flat"), (4, "short"), (6, "flat")]


def test_without_a_prediction_the_position_stays_unless_told(make_walk: MakeWalk) -> None:
    values = [0.6, None, None, 0.6]
    assert said(make(), make_walk, values) == [(0, "long")]
    leaving = make(flat_without=True)
    assert said(leaving, make_walk, values) == [(0, "long"), (1, "flat"), (3, "long")]


def test_predictions_of_others_of_shadows_and_of_other_klines_do_not_count(
    make_walk: MakeWalk,
) -> None:
    assert said(make(), make_walk, [0.9], model="down") == []
    assert said(MlStrategy(), make_walk, [0.9], model="down") == [(0, "long")]
    assert said(make(), make_walk, [0.9], shadow=True) == []
    (kline,) = make_walk(1)
    own = make()
    own.predicted(prediction(kline.open_us - 60_000_000, 0.9))
    assert list(own.feed(kline)) == []


def test_a_signal_says_which_version_said_what(make_walk: MakeWalk) -> None:
    (kline,) = make_walk(1)
    own = make(flat_without=True)
    own.predicted(prediction(kline.open_us, 0.75))
    (signal,) = own.feed(kline)
    assert signal.reason == "up aaaa says 0.75, at least 0.55"
    assert signal.values == (("prediction", 0.75),)
    own.predicted(prediction(kline.open_us, None))
    (signal,) = own.feed(kline)
    assert signal.reason == "no prediction: warming up"


def test_a_snapshot_holds_position_and_prediction(make_walk: MakeWalk) -> None:
    one, other = make(margin=0.1), make(margin=0.1)
    said(one, make_walk, [0.6])
    other.restore(pickle.loads(pickle.dumps(one.snapshot())))
    assert said(other, make_walk, [0.5, 0.4]) == [(1, "flat")]


def test_thresholds_that_cross_are_refused() -> None:
    with pytest.raises(StrategyError, match="two margins"):
        make(short=True, short_below=0.5, margin=0.05)
