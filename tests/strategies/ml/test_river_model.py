"""A model that learns in the flow, against river by hand; its state, and when it speaks."""

import pickle
from dataclasses import replace

import pytest
from river import linear_model, optim, preprocessing

from core.market.events import ModelChanged
from core.market.kline import Kline
from core.market.ml import Prediction
from strategies.ml.columns import Columns
from strategies.ml.config import MlConfig, ModelSpec, OnlineSpec
from strategies.ml.features import FeatureSet
from strategies.ml.host import MlHost, Out
from strategies.ml.river_model import RiverModel
from strategies.ml.runner import Trained
from tests.strategies.ml.conftest import KEY, MakeWalk

FEATURES = FeatureSet.model_validate(
    {"name": "base", "features": [{"return": 1}, {"return": 3}, {"taker_imbalance": 2}]}
)
HORIZON, READY = 4, 10


def host(estimator: str = "logistic") -> MlHost:
    online = {"estimator": estimator, "horizon": HORIZON, "ready": READY, "rate": 0.05}
    spec = ModelSpec.model_validate({"name": "on", "features": "base", "online": online})
    config = MlConfig(features=(FEATURES,), models=(spec,))
    return MlHost(KEY, config, {}, _none)


def _none(name: str, version: str) -> Trained:
    raise AssertionError((name, version))


def run(host: MlHost, klines: list[Kline]) -> list[Out]:
    return [said for kline in klines for said in host.on_kline(kline)]


def values(said: list[Out]) -> list[float | None]:
    return [one.value for one in said if isinstance(one, Prediction)]


def by_hand(klines: list[Kline]) -> list[float | None]:
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.05))
    columns, rows, found, learned = Columns(FEATURES), [], [], 0
    for n, kline in enumerate(klines):
        row = columns.update(kline)
        ready = not columns.fault(row)
        rows.append(dict(zip(FEATURES.columns, row, strict=True)) if ready else {})
        if n >= HORIZON and rows[n - HORIZON]:
            before = klines[n - HORIZON].close_units
            if kline.close_units != before:
                model.learn_one(rows[n - HORIZON], kline.close_units > before)
                learned += 1
        speaks = ready and learned >= READY
        found.append(model.predict_proba_one(rows[n])[True] if speaks else None)
    return found


def test_it_learns_each_label_when_it_is_known_and_then_predicts(make_walk: MakeWalk) -> None:
    klines = make_walk(200)
    said = values(run(host(), klines))
    assert said == by_hand(klines)
    assert said.index(next(v for v in said if v is not None)) >= HORIZON + READY


@pytest.mark.parametrize("estimator", ["logistic", "tree", "linear"])
@pytest.mark.parametrize("cut", [3, 9, 60, 140])
def test_its_state_goes_on_to_the_bit(make_walk: MakeWalk, estimator: str, cut: int) -> None:
    klines = make_walk(250)
    whole, first, second = host(estimator), host(estimator), host(estimator)
    expected = run(whole, klines)
    said = run(first, klines[:cut])
    second.restore(pickle.loads(pickle.dumps(first.snapshot())))
    assert said + run(second, klines[cut:]) == expected
    assert len({v for v in values(expected) if v is not None}) > 5


def test_it_says_once_which_version_it_is_and_why_it_waits(make_walk: MakeWalk) -> None:
    said = run(host(), make_walk(60))
    (event,) = [one for one in said if isinstance(one, ModelChanged)]
    assert event.version
    assert event.detail == ""
    reasons = [one.reason for one in said if isinstance(one, Prediction)]
    assert reasons[0] == "warming up, 1 of 4 klines"
    assert reasons[4] == f"learned 0 of {READY} labels"
    assert reasons[-1] == ""


def test_another_definition_or_estimator_is_another_version() -> None:
    spec = OnlineSpec()
    one = RiverModel(spec, FEATURES).version
    assert one == RiverModel(spec, FEATURES.model_copy(update={"name": "x"})).version
    assert one != RiverModel(spec.model_copy(update={"horizon": 6}), FEATURES).version
    other = FeatureSet.model_validate({"name": "base", "features": [{"return": 1}]})
    assert one != RiverModel(spec, other).version


def test_a_label_over_missing_klines_is_not_learned(make_walk: MakeWalk) -> None:
    klines = make_walk(60)
    own = host()
    run(own, klines[:20])
    learned = _learned(own)
    run(own, klines[30:31])
    assert _learned(own) == learned
    run(own, [replace(k, revision=0) for k in klines[31:40]])
    assert _learned(own) > learned


def _learned(own: MlHost) -> int:
    runner = own._runners["on"]
    return int(runner.model.learned)  # type: ignore[attr-defined]  # it is an `OnlineRunner`
