"""Features and models of one instrument: rows, predictions, swaps, snapshots, what goes wrong."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from math import nan
from typing import Any

import pytest

from core.market.errors import ModelError, SnapshotError
from core.market.events import ModelChanged
from core.market.kline import Kline, Status
from core.market.ml import FeatureRow, ModelScore, Prediction
from strategies.ml.columns import Columns, Values
from strategies.ml.config import MlConfig, ModelSpec
from strategies.ml.features import FeatureSet
from strategies.ml.host import MlHost, Out
from strategies.ml.labels import Target
from strategies.ml.manifest import Histogram, Manifest, Output, Span
from strategies.ml.runner import Trained
from strategies.ml.wanted import WantedModel
from tests.strategies.ml.conftest import KEY, MakeWalk

A, B, C = "aaaa", "bbbb", "cccc"


class Fake:
    """Says a probability that depends on the row and the version; remembers what it was fed."""

    def __init__(self, manifest: Manifest, rule: Callable[[Values], float]) -> None:
        self.manifest, self._rule = manifest, rule
        self.fed: list[Values] = []

    def predict(self, values: Values) -> float:
        self.fed.append(values)
        return self._rule(values)


def manifest(features: FeatureSet, version: str) -> Manifest:
    span = Span(rows=1, first="", last="")
    half = Histogram(edges=(0.0,), shares=(0.5, 0.5))
    return Manifest(
        name="up", version=version, estimator="fake", target=Target(horizon=3), features=features,
        definition=features.definition, train=span, valid=span, data="", metrics={},
        histograms=dict.fromkeys(features.columns, half), output=Output(name="value"),
    )  # fmt: skip


def failing(values: Values) -> float:
    raise ValueError(f"cannot see {len(values)}\nlines of more")


RULES: dict[str, Callable[[Values], float]] = {
    A: lambda values: 0.6 if values[0] > 50 else 0.4,
    B: lambda values: 0.9 if values[5] > 0 else 0.1,
    C: failing,
    "dddd": lambda _values: nan,
}


class Shelf:
    """Versions that there are."""

    def __init__(self, features: FeatureSet) -> None:
        self.models = {v: Fake(manifest(features, v), rule) for v, rule in RULES.items()}

    def load(self, name: str, version: str) -> Trained:
        if version not in self.models:
            raise ModelError(name, f"no version `{version}`")
        return self.models[version]


SPEC = ModelSpec(name="up", features="base")


def config(features: FeatureSet, *models: ModelSpec, window: int = 100) -> MlConfig:
    scores = {"window": window, "every": 50}
    return MlConfig.model_validate({"features": (features,), "models": models, "scores": scores})


def host(features: FeatureSet, version: str = A, spec: ModelSpec = SPEC) -> MlHost:
    return MlHost(KEY, config(features, spec), {"up": version}, Shelf(features).load)


def run(host: MlHost, klines: list[Kline]) -> list[Out]:
    return [said for kline in klines for said in host.on_kline(kline)]


def of(kind: type[Any], said: list[Out]) -> list[Any]:
    return [one for one in said if isinstance(one, kind)]


def wanted(version: str, *shadows: str, command: str = "c1", spec: ModelSpec = SPEC) -> WantedModel:
    return WantedModel(
        command=command, model="up", version=version, shadows=shadows, configured=spec
    )


@pytest.fixture
def short(base: FeatureSet) -> FeatureSet:
    return base.model_copy(update={"warmup": 20})


def test_rows_come_once_warm_and_are_what_the_model_is_fed(
    make_walk: MakeWalk, short: FeatureSet
) -> None:
    shelf, klines, columns = Shelf(short), make_walk(60), Columns(short)
    own = MlHost(KEY, config(short, SPEC), {"up": A}, shelf.load)
    rows = of(FeatureRow, run(own, klines))
    expected = [columns.update(kline) for kline in klines][19:]
    assert [row.values for row in rows] == expected == shelf.models[A].fed
    assert [row.open_us for row in rows] == [k.open_us for k in klines[19:]]
    first = rows[0]
    assert (first.features, first.definition) == ("base", short.definition)
    assert first.close == klines[19].text("close")


def test_a_prediction_is_none_with_a_reason_until_it_is_ready(
    make_walk: MakeWalk, short: FeatureSet
) -> None:
    said = of(Prediction, run(host(short), make_walk(30)))
    assert len(said) == 30
    assert {p.value for p in said[:19]} == {None}
    assert said[3].reason == "warming up, 4 of 20 klines"
    assert all(p.value in (0.4, 0.6) and not p.reason for p in said[19:])
    assert (said[-1].model, said[-1].version, said[-1].shadow) == ("up", A, False)
    nobody = of(Prediction, run(host(short, ""), make_walk(30)))
    assert (nobody[-1].value, nobody[-1].reason) == (None, "no version is promoted")


def test_numbers_of_records_rise_by_kind(make_walk: MakeWalk, short: FeatureSet) -> None:
    said = run(host(short, spec=SPEC.model_copy(update={"shadows": (B,)})), make_walk(200))
    for kind in (FeatureRow, Prediction, ModelScore):
        numbers = [one.seq for one in of(kind, said)]
        assert len(numbers) > 5
        assert numbers == sorted(set(numbers))


def test_klines_issued_again_forming_or_of_other_intervals_change_nothing(
    make_walk: MakeWalk, short: FeatureSet
) -> None:
    klines = make_walk(40)
    own, plain = host(short), host(short)
    out: list[Out] = []
    for kline in klines:
        assert own.on_kline(replace(kline, status=Status.FORMING)) == []
        out += own.on_kline(kline)
        assert own.on_kline(replace(kline, revision=1, close_units=1)) == []
    assert out == run(plain, klines)


def test_a_swap_takes_effect_with_the_next_kline_and_is_an_event(
    make_walk: MakeWalk, short: FeatureSet
) -> None:
    own, klines = host(short), make_walk(60)
    run(own, klines[:40])
    (event,) = own.want(wanted(B), 40 * 60_000_000)
    assert (event.command, event.model, event.version, event.state) == ("c1", "up", B, "running")
    assert own.want(wanted(B), 41 * 60_000_000) == []  # obeyed twice is obeyed once
    said = of(Prediction, run(own, klines[40:]))
    assert {p.version for p in said} == {B}
    assert all(p.value in (0.1, 0.9) for p in said)  # it has the features already


def test_a_command_that_cannot_be_obeyed_is_refused_and_the_old_version_goes_on(
    make_walk: MakeWalk, short: FeatureSet
) -> None:
    own, klines = host(short), make_walk(60)
    run(own, klines[:30])
    (event,) = own.want(wanted("eeee"), 30 * 60_000_000)
    assert (event.state, event.version) == ("refused", A)
    assert "no version `eeee`" in event.detail
    changed = SPEC.model_copy(update={"version": B})
    (event,) = own.want(wanted(B, spec=changed), 31 * 60_000_000)
    assert event.detail == "the settings of this model have changed since"
    assert {p.version for p in of(Prediction, run(own, klines[30:]))} == {A}
    assert own.want(WantedModel(model="other", configured=SPEC), 1) == []


def test_a_version_of_other_features_never_speaks(make_walk: MakeWalk, short: FeatureSet) -> None:
    other = FeatureSet.model_validate({"name": "base", "features": [{"return": 9}], "warmup": 20})
    own = MlHost(KEY, config(other, SPEC), {"up": A}, Shelf(short).load)
    said = run(own, make_walk(30))
    (event,) = of(ModelChanged, said)
    assert "was trained on other features" in event.detail
    assert "was trained on other features" in of(Prediction, said)[-1].reason


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (C, "ValueError: cannot see 11"),
        ("dddd", "the model gave nan"),
        ("eeee", "no version `eeee`"),
    ],
)
def test_a_bad_model_says_why_it_says_nothing_and_stops_nobody(
    make_walk: MakeWalk, short: FeatureSet, version: str, reason: str
) -> None:
    spec = SPEC.model_copy(update={"shadows": (A,)})
    said = of(Prediction, run(host(short, version, spec), make_walk(40)))
    bad = [p for p in said if p.version == version]
    assert bad[-1].value is None
    assert reason in bad[-1].reason
    assert [p.value for p in said if p.shadow][-1] in (0.4, 0.6)


def test_shadows_are_scored_beside_and_promoted_with_their_record(
    make_walk: MakeWalk, short: FeatureSet
) -> None:
    own, klines = host(short, spec=SPEC.model_copy(update={"shadows": (B,)})), make_walk(400)
    before = run(own, klines[:300])
    assert {(p.version, p.shadow) for p in of(Prediction, before)} == {(A, False), (B, True)}
    scores = {s.version: s for s in of(ModelScore, before)}
    assert scores[B].rows == scores[A].rows == 100
    assert scores[B].shadow
    assert scores[B].accuracy is not None
    assert scores[B].accuracy > 0.55  # returns follow returns
    spec = SPEC.model_copy(update={"shadows": (B,)})
    own.want(wanted(B, A, spec=spec), 300 * 60_000_000)
    after = run(own, klines[300:])
    assert {(p.version, p.shadow) for p in of(Prediction, after)} == {(B, False), (A, True)}
    assert {s.version: s.rows for s in of(ModelScore, after)[:2]} == {A: 100, B: 100}


def test_scores_compare_with_what_came_of_it(make_walk: MakeWalk, short: FeatureSet) -> None:
    klines = make_walk(120)
    said = run(host(short), klines)
    last = of(ModelScore, said)[-1]
    at = {k.open_us: k for k in klines}
    step = 60_000_000
    pairs = [
        (p.value, at[p.open_us + 3 * step].close - at[p.open_us].close)
        for p in of(Prediction, said)
        if p.value is not None and p.open_us + 3 * step <= last.open_us
    ]
    moved = [(value > 0.5) == (by > 0) for value, by in pairs if by]
    assert last.rows == len(moved)
    assert last.accuracy == pytest.approx(sum(moved) / len(moved))


def test_a_prediction_whose_end_is_missing_is_not_scored(
    make_walk: MakeWalk, short: FeatureSet
) -> None:
    klines = make_walk(118)
    whole = of(ModelScore, run(host(short), klines[:100]))[-1]
    torn = of(ModelScore, run(host(short), [*klines[:60], *klines[63:103]]))[-1]
    assert whole.rows - torn.rows == 3


def test_drift_is_told_once_half_the_window_is_full(make_walk: MakeWalk, short: FeatureSet) -> None:
    scores = of(ModelScore, run(host(short), make_walk(200)))
    assert scores[0].psi == ()
    found = dict(scores[-1].psi)
    assert tuple(found) == short.columns
    assert found["return_1"] < 0.5
    assert found["volatility_10"] > 2.0  # the fake training rows had half of them below 0


@pytest.mark.parametrize("cut", [0, 1, 25, 60, 149])
def test_a_snapshot_is_plain_and_the_rest_is_the_same(
    make_walk: MakeWalk, short: FeatureSet, cut: int
) -> None:
    spec, klines = SPEC.model_copy(update={"shadows": (B,)}), make_walk(200)
    whole, first, second = (host(short, spec=spec) for _ in range(3))
    expected = run(whole, klines)
    said = run(first, klines[:cut])
    second.restore(pickle.loads(pickle.dumps(first.snapshot())))
    for kline in klines[max(0, cut - 2) : cut]:
        assert second.on_kline(replace(kline, revision=1)) == []
    assert said + run(second, klines[cut:]) == expected


def test_a_snapshot_keeps_what_was_commanded_unless_the_settings_changed(
    make_walk: MakeWalk, short: FeatureSet
) -> None:
    own, klines = host(short), make_walk(60)
    run(own, klines[:30])
    own.want(wanted(B), 30 * 60_000_000)
    same, changed = host(short), host(short, A, SPEC.model_copy(update={"version": A}))
    same.restore(own.snapshot())
    changed.restore(own.snapshot())
    assert {p.version for p in of(Prediction, run(same, klines[30:]))} == {B}
    assert {p.version for p in of(Prediction, run(changed, klines[30:]))} == {A}


def test_a_set_that_was_changed_warms_up_anew(make_walk: MakeWalk, short: FeatureSet) -> None:
    own, klines = host(short), make_walk(60)
    run(own, klines[:40])
    other = FeatureSet.model_validate({"name": "base", "features": [{"return": 9}], "warmup": 15})
    next_ = MlHost(KEY, config(other), {}, Shelf(other).load)
    next_.restore(own.snapshot())
    assert len(of(FeatureRow, run(next_, klines[40:]))) == 6
    with pytest.raises(SnapshotError):
        next_.restore(("ml", 0, KEY, (), (), ()))


def test_settings_that_do_not_fit_are_refused_in_words(short: FeatureSet) -> None:
    with pytest.raises(ValueError, match="sees features `other`, but there are base"):
        config(short, SPEC.model_copy(update={"features": "other"}))
    with pytest.raises(ValueError, match="two are named `up`"):
        config(short, SPEC, SPEC)
    with pytest.raises(ValueError, match="learns in the flow has no versions"):
        ModelSpec.model_validate(
            {"name": "up", "features": "base", "version": "abcd", "online": {}}
        )
