"""Features and models in the flow: swaps, replays, resumes, and what the lake then holds."""

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from bytewax.testing import TestingSource

from connectors.parquet.config import LakeConfig
from connectors.parquet.learned import read_features, read_predictions
from connectors.parquet.sink import LakeSink
from connectors.recording.reader import read_files, shards
from connectors.recording.source import ReplaySource
from core.control import ModelCommand
from core.exchange.plan import Standing, Tell
from core.market.errors import ModelError
from core.market.events import Told
from core.market.intervals import interval
from core.market.kline import Kline
from core.market.ml import FeatureRow, Prediction
from dataflows import engine
from dataflows.klines import KlinePlan
from dataflows.main import Inputs, Work, build
from dataflows.ml import MlLogic, MlPlan
from dataflows.ml_commands import ModelPlanner, plan_of, standing_of
from dataflows.ml_features import compute
from dataflows.ml_registry import ModelRegistry
from dataflows.ml_rows import read_table
from dataflows.ml_training import Order, train
from dataflows.outputs import Outputs
from dataflows.parity import ParitySink, Run, settings_of
from dataflows.replay import inputs_of, look
from dataflows.verify_parity import verify
from strategies.ml.config import MlConfig
from strategies.ml.features import FeatureSet
from strategies.ml.labels import Target
from strategies.spec import InstanceSpec
from tests.dataflows.ml_market import KEY, START_US, frames, record, write_klines

MINUTES = 240
FEATURES = FeatureSet.model_validate(
    {
        "name": "base",
        "warmup": 30,
        "features": [
            {"indicator": "rsi", "params": {"period": 5}},
            {"return": 1},
            {"return": 5},
            {"taker_imbalance": 3},
        ],
    }
)
KLINES = KlinePlan(interval("1m"), (interval("1m"), interval("5m")))
SPECS = (InstanceSpec(name="ml", params={"model": "up", "long_above": 0.51, "short": True,
                                         "short_below": 0.49}),)  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Return a registry, and two versions of `up` in it; the first is promoted."""
    root = tmp_path_factory.mktemp("models")
    paths = write_klines(root / "klines", 2)
    compute(inputs_of(look(paths)), KLINES, (FEATURES,), LakeConfig(path=root / "lake"))
    registry, target = ModelRegistry(root / "models"), Target(horizon=3)
    table = read_table(root / "lake", FEATURES, target)
    first, second = (
        registry.save(*train(Order("up", kind, FEATURES, target), table)).version
        for kind in ("logistic", "gbm")
    )
    registry.promote("up", first)
    return root / "models", first, second


def config(registry: Path, **more: Any) -> MlConfig:  # noqa: ANN401 - any of a model's fields
    return MlConfig.model_validate(
        {
            "registry": registry,
            "features": (FEATURES,),
            "models": ({"name": "up", "features": "base", **more},),
            "scores": {"window": 50, "every": 20},
        }
    )


def readers(recording: Path) -> Inputs:
    files = {key: partial(read_files, found) for key, found in shards(recording).items()}
    return {"recordings": ReplaySource(files)}


def run(inputs: Inputs, ml: MlPlan, root: Path, *, parity: bool = False, **engines: Any) -> Path:  # noqa: ANN401 - the engine's
    lake = root / "lake"
    told = settings_of(KLINES, SPECS, ml=ml.config)
    sink = ParitySink(lake, Run(START_US - 5, told)) if parity else None
    outputs = Outputs({"lake": LakeSink(LakeConfig(path=lake))}, parity=sink)
    engine.run(build(inputs, Work(KLINES, SPECS, ml=ml), outputs), **engines)
    return lake


def rows(lake: Path, kind: str) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted((lake / kind).rglob("part-*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]


def files(lake: Path) -> dict[str, bytes]:
    return {str(p.relative_to(lake)): p.read_bytes() for p in sorted(lake.rglob("part-*.parquet"))}


def changes(lake: Path) -> list[dict[str, Any]]:
    return [json.loads(e["detail"]) for e in rows(lake, "events") if e["kind"] == "model_changed"]


def promote(ml: MlPlan, version: str, standing: dict[str, Standing]) -> Tell:
    command = ModelCommand(id="c1", action="promote", model="up", version=version)
    return ModelPlanner(ml)(command, standing)


@pytest.fixture
def promoted(models: tuple[Path, str, str], tmp_path: Path) -> Path:
    """Return a recording of a flow to which the second version was promoted at minute 120."""
    registry, _, second = models
    ml = plan_of(config(registry))
    standing = standing_of(ml)({})
    told = {120: promote(ml, second, standing)}
    return record(tmp_path / "recordings", frames(range(MINUTES), standing, told))


def test_a_version_is_promoted_at_a_kline_and_strategies_follow_it(
    models: tuple[Path, str, str], promoted: Path, tmp_path: Path
) -> None:
    registry, first, second = models
    lake = run(readers(promoted), plan_of(config(registry)), tmp_path)
    said = list(read_predictions(lake))
    assert len(said) == MINUTES - 1
    by_minute = {(p.open_us - START_US) // 60_000_000: p.version for p in said}
    swapped = min(minute for minute, version in by_minute.items() if version == second)
    assert 118 <= swapped <= 120
    assert all((version == second) == (m >= swapped) for m, version in by_minute.items())
    assert [(c["version"], c["command"], c["state"]) for c in changes(lake)] == [
        (first, "", "running"), (second, "c1", "running"),
    ]  # fmt: skip
    signals = rows(lake, "signals")
    assert len(signals) > 5
    assert {s["side"] for s in signals} >= {"long", "short"}
    assert any(f"up {first} says" in s["reason"] for s in signals)
    assert any(f"up {second} says" in s["reason"] for s in signals)
    at = {p.close_us: p.value for p in said}
    for signal in signals:
        value = json.loads(signal["values"])["prediction"]
        assert at[round(signal["time"].timestamp() * 1_000_000)] == value
    assert rows(lake, "scores")


def test_a_replay_says_the_same_wherever_the_pointer_has_moved_since(
    models: tuple[Path, str, str], promoted: Path, tmp_path: Path
) -> None:
    registry, first, second = models
    lake = run(readers(promoted), plan_of(config(registry)), tmp_path, parity=True)
    own = ModelRegistry(registry)
    try:
        own.promote("up", second)
        ml = plan_of(config(registry))
        assert ml.resolved == {"up": second}
        again = run(readers(promoted), ml, tmp_path / "again")
        assert files(again) == {k: v for k, v in files(lake).items() if "parity" not in k}
        verdicts = list(verify(promoted, lake, Work(KLINES, SPECS, ml=ml)))
        assert all(v.equal for v in verdicts), verdicts
        assert {v.stream for v in verdicts} == {
            "klines 1m", "klines 5m", "signals", "features base", "predictions up",
        }  # fmt: skip
    finally:
        own.promote("up", first)
    explicit = plan_of(config(registry, version=second))
    tried = run(readers(promoted), explicit, tmp_path / "tried")
    assert {p.version for p in read_predictions(tried)} == {second}  # the settings were changed
    assert changes(tried)[0]["state"] == "refused"
    (verdict,) = verify(promoted, lake, Work(KLINES, SPECS, ml=explicit))
    assert "the run had other ml" in verdict.detail


def test_a_changed_number_of_a_prediction_is_found_and_named(
    models: tuple[Path, str, str], promoted: Path, tmp_path: Path
) -> None:
    registry, _, _ = models
    ml = plan_of(config(registry))
    lake = run(readers(promoted), ml, tmp_path, parity=True)
    for path in (lake / "parity").rglob("part-*.json"):
        text = json.loads(path.read_text())
        for streams in text["keys"].values():
            one = streams["predictions up"]
            one["link"] = one["link"][::-1]
            one["marks"] = {}
        path.write_text(json.dumps(text))
    wrong = [v for v in verify(promoted, lake, Work(KLINES, SPECS, ml=ml)) if not v.equal]
    assert [v.stream for v in wrong] == ["predictions up"]
    assert "the lake's rows equal the replay's" in wrong[0].detail


def test_rows_are_the_same_from_trades_from_klines_and_at_the_model(
    models: tuple[Path, str, str], promoted: Path, tmp_path: Path
) -> None:
    """The live flow's rows, those of `ml features` over its lake, and what the model was given."""
    registry, _, _ = models
    fed: list[tuple[float, ...]] = []
    ml = plan_of(config(registry))

    def load(name: str, version: str) -> Any:  # noqa: ANN401 - a model that listens
        return _Heard(ml.load(name, version), fed)

    lake = run(readers(promoted), MlPlan(ml.config, ml.resolved, load), tmp_path)
    live = list(read_features(lake, "base"))
    assert [row.values for row in live] == fed
    assert len(live) == MINUTES - 1 - 29
    offline = LakeConfig(path=tmp_path / "offline")
    compute(inputs_of(look([promoted])), KLINES, (FEATURES,), offline)
    again = {k: v for k, v in files(lake).items() if k.startswith("features")}
    assert files(offline.path) == again


class _Heard:
    def __init__(self, model: Any, fed: list[tuple[float, ...]]) -> None:  # noqa: ANN401 - a model
        self.manifest, self._model, self._fed = model.manifest, model, fed

    def predict(self, values: tuple[float, ...]) -> float:
        self._fed.append(values)
        said: float = self._model.predict(values)
        return said


@pytest.mark.parametrize("online", [False, True])
def test_a_flow_that_was_cut_off_says_what_an_undisturbed_one_says(
    models: tuple[Path, str, str], tmp_path: Path, online: bool
) -> None:
    registry, _, second = models
    more = {"online": {"horizon": 3, "ready": 20}} if online else {"shadows": [second]}
    ml = plan_of(config(registry, **more))
    recording = record(tmp_path / "recordings", frames(range(MINUTES)))
    items = list(_items(recording))
    undisturbed: Any = TestingSource(items, batch_size=7)
    whole = run({"in": undisturbed}, ml, tmp_path / "whole")
    for cut in (len(items) // 3, len(items) // 2):
        root, later = tmp_path / f"cut-{cut}", cut + len(items) // 4
        torn: Any = TestingSource(
            [*items[:cut], TestingSource.EOF(), *items[cut:later], TestingSource.ABORT(),
             *items[later:]],
            batch_size=7,
        )  # fmt: skip
        for _ in range(3):
            run({"in": torn}, ml, root, recovery=root / "recovery", snapshot_every=timedelta(0))
        assert rows(root / "lake", "predictions") == rows(whole, "predictions")
        assert rows(root / "lake", "features") == rows(whole, "features")
        assert rows(root / "lake", "signals") == rows(whole, "signals")
    said = [p for p in read_predictions(whole) if not p.shadow]
    assert len([p for p in said if p.value is not None]) > 100
    if online:
        waiting = [p.reason for p in said if p.value is None]
        assert "learned 19 of 20 labels" in waiting
        assert changes(whole)[0]["version"] == said[0].version


def test_a_flow_without_models_does_not_mind_what_they_are_told(
    promoted: Path, tmp_path: Path
) -> None:
    outputs = Outputs({"lake": LakeSink(LakeConfig(path=tmp_path / "lake"))})
    specs = (InstanceSpec(name="rsi_reversal", params={"period": 3}),)
    engine.run(build(readers(promoted), Work(KLINES, specs), outputs))
    assert rows(tmp_path / "lake", "signals")
    assert not (tmp_path / "lake" / "features").exists()


def _items(recording: Path) -> Iterator[tuple[str, Any]]:
    source = readers(recording)["recordings"]
    assert isinstance(source, ReplaySource)
    (name,) = source.list_parts()
    part = source.build_part("in", name, None)
    try:
        while True:
            yield from part.next_batch()
    except StopIteration:
        return


def test_an_online_model_of_another_river_begins_anew_and_says_so(
    models: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import river

    plan = plan_of(config(models[0], online={"horizon": 3, "ready": 0}))
    klines = _klines(80)
    before = MlLogic(None, plan=plan)
    before.on_batch(list(klines[:60]))
    monkeypatch.setattr(river, "__version__", "0.0.1")
    after = MlLogic(before.snapshot(), plan=plan)
    out, _ = after.on_batch(list(klines[60:]))
    (event,) = [one for one in out if getattr(one, "kind", "") == "model_changed"]
    assert "begins anew" in event.detail  # type: ignore[union-attr]  # it is a `ModelChanged`
    assert "river" in event.detail  # type: ignore[union-attr]  # likewise
    assert [one for one in out if isinstance(one, FeatureRow)]  # the features go on


def _klines(count: int) -> list[Kline]:
    from tests.strategies.ml.conftest import walk

    return walk(count)


def test_the_steps_name_is_stable_because_snapshots_hang_on_it(
    models: tuple[Path, str, str],
) -> None:
    source: Any = TestingSource([])
    flow = build({"in": source}, Work(KLINES, SPECS, ml=plan_of(config(models[0]))), Outputs())
    assert "cryptotools.ml" in {step.step_id for step in flow.substeps}


def test_rows_and_predictions_come_right_before_their_kline_and_all_else_in_its_place(
    models: tuple[Path, str, str],
) -> None:
    registry, _, _ = models
    plan, klines = plan_of(config(registry)), _klines(50)
    others = Told(KEY, 1, '{"spec": {}}')
    own = Told(KEY, 1, next(iter(standing_of(plan)({}).values())).payload)
    logic = MlLogic(None, plan=plan)
    out, _ = logic.on_batch([*klines[:40], others, own, *klines[40:]])
    kept = [one for one in out if isinstance(one, Kline | Told)]
    assert kept == [*klines[:40], others, *klines[40:]]
    for n, one in enumerate(out):
        if isinstance(one, FeatureRow):
            assert isinstance(out[n + 1], Prediction)
            kline = next(k for k in out[n:] if isinstance(k, Kline))
            assert one.open_us == kline.open_us
    assert len([one for one in out if isinstance(one, FeatureRow)]) == 21


def test_commands_are_checked_before_they_are_passed_on(models: tuple[Path, str, str]) -> None:
    registry, first, second = models
    ml = plan_of(config(registry))
    standing = standing_of(ml)({})

    def tell(action: Any, version: str, now: dict[str, Standing]) -> dict[str, Any]:  # noqa: ANN401 - a literal
        command = ModelCommand(id="c", action=action, model="up", version=version)
        found: dict[str, Any] = json.loads(ModelPlanner(ml)(command, now).message.payload)
        return found

    shadowed = tell("shadow", second, standing)
    assert (shadowed["version"], shadowed["shadows"]) == (first, [second])
    now = {"ml:up": Standing(payload=json.dumps(shadowed))}
    assert tell("promote", second, now)["shadows"] == []
    assert tell("unshadow", second, now)["shadows"] == []
    assert tell("promote", "", now)["version"] == ""
    with pytest.raises(ModelError, match="not scored beside itself"):
        tell("shadow", first, standing)
    with pytest.raises(ModelError, match="no version `0000`"):
        tell("promote", "0000", standing)
    with pytest.raises(ModelError, match=r"`ml\.models` has up"):
        ModelPlanner(ml)(ModelCommand(id="c", action="promote", model="down"), {})


def test_what_was_commanded_outlasts_a_restart_until_the_settings_or_the_pointer_move(
    models: tuple[Path, str, str],
) -> None:
    registry, first, second = models
    ml = plan_of(config(registry))
    standing = standing_of(ml)
    commanded = {"ml:up": promote(ml, second, standing({})).message}
    others = {"rsi": Standing(payload="{}"), "ml:gone": Standing(payload="{}")}

    def version(found: dict[str, Standing]) -> str:
        return str(json.loads(found["ml:up"].payload)["version"])

    after = standing({**commanded, **others})
    assert set(after) == {"rsi", "ml:up"}
    assert version(after) == second
    moved = MlPlan(ml.config, {"up": second}, ml.load)
    assert version(standing_of(moved)(commanded)) == second  # as `ml promote` moves it
    back = MlPlan(ml.config, {"up": ""}, ml.load)
    assert version(standing_of(back)(commanded)) == ""  # who moved it later means it
    changed = plan_of(config(registry, version=first[:6]))
    assert version(standing_of(changed)(commanded)) == first
