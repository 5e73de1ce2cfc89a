"""Rows in a lake → a version in the registry: found, honest, the same every time."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from connectors.parquet.config import LakeConfig
from connectors.parquet.layout import Part, Wanted, find
from connectors.parquet.learned import read_features
from core.market.errors import ConfigError, ModelError
from core.market.intervals import interval
from dataflows.klines import KlinePlan
from dataflows.ml_commands import plan_of as ml_plan_of
from dataflows.ml_features import compute
from dataflows.ml_registry import ModelRegistry
from dataflows.ml_rows import Table, read_table, split
from dataflows.ml_training import ESTIMATORS, Order, evaluate, train
from dataflows.replay import inputs_of, look
from strategies.ml.config import MlConfig, ModelSpec
from strategies.ml.features import FeatureSet
from strategies.ml.labels import Target
from strategies.ml.manifest import Manifest
from tests.dataflows.ml_market import write_klines

FEATURES = FeatureSet.model_validate(
    {
        "name": "base",
        "features": [
            {"indicator": "rsi", "params": {"period": 5}},
            {"indicator": "ema", "params": {"period": 5}, "relative": True},
            {"return": 1},
            {"return": 5},
            {"taker_imbalance": 3},
            {"time_of_day": "sin"},
        ],
    }
)
MINUTES = KlinePlan(interval("1m"), (interval("1m"),))
TARGET = Target(horizon=3)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("market")
    paths = write_klines(root / "klines", 3)
    compute(inputs_of(look(paths)), MINUTES, (FEATURES,), LakeConfig(path=root / "lake"))
    return root / "lake"


@pytest.fixture(scope="module")
def table(lake: Path) -> Table:
    return read_table(lake, FEATURES, TARGET)


def order(estimator: str = "logistic", **more: object) -> Order:
    target = Target(kind=ESTIMATORS[estimator].predicts, horizon=3)
    return Order("up", estimator, FEATURES, target, parameters=more)


def test_only_rows_of_features_are_written_and_they_read_back(lake: Path) -> None:
    assert [p.name for p in lake.iterdir() if not p.name.startswith(".")] == ["features"]
    rows = list(read_features(lake, "base"))
    warmup = rows[0].open_us // 60_000_000 - 1_735_689_600 // 60
    assert len(rows) == 3 * 1440 - warmup
    assert list(read_features(lake, "other")) == []
    assert [r.seq for r in rows] == sorted({r.seq for r in rows})


def test_a_row_that_is_in_a_log_and_in_a_file_is_read_once(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def logged(path: Path, wanted: Wanted) -> list[Part]:
        return [replace(p, rows=pq.ParquetFile(p.path).read()) for p in find(path, wanted)[-1:]]

    monkeypatch.setattr("connectors.parquet.learned.logged_parts", logged)
    rows = [row.seq for row in read_features(lake, "base", pending=True)]
    assert rows == [row.seq for row in read_features(lake, "base")]


def test_labels_are_of_the_rows_of_their_horizon(lake: Path, table: Table) -> None:
    rows = {row.open_us: float(row.close) for row in read_features(lake, "base")}
    for n in (0, 100, 2000):
        at = int(table.open_us[n])
        before, after = rows[at], rows[at + 3 * 60_000_000]
        assert table.changes[n] == pytest.approx(np.log(after / before))
    assert np.isnan(table.labels[-3:]).all()


def test_the_later_rows_know_nothing_of_the_earlier_ones_labels(table: Table) -> None:
    fit, judge = split(table.known(), 0.25)
    assert fit.ends.max() < judge.open_us.min()
    assert len(fit) + len(judge) == len(table.known()) - 3
    assert len(judge) / len(table) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_pattern_is_found_and_the_graph_says_what_the_estimator_says(
    table: Table, estimator: str
) -> None:
    own = order(estimator)
    manifest, graph = train(own, _for(table, own.target))
    valid = manifest.metrics["valid"]
    assert valid["accuracy"] > valid["baseline_accuracy"] + 0.05
    assert valid["ic"] > 0.2
    assert float(manifest.exported["max_difference"]) < 1e-12
    if own.target.kind == "up":
        assert valid["auc"] > 0.6
        assert valid["brier"] < valid["baseline_brier"]
    else:
        assert valid["r2"] > 0.03
    assert graph


def _for(table: Table, target: Target) -> Table:
    if target.kind == "up":
        return table
    return replace(table, labels=table.changes)


@pytest.mark.parametrize("estimator", ["logistic", "gbm"])
def test_training_twice_gives_the_same_version(
    table: Table, tmp_path: Path, estimator: str
) -> None:
    registry = ModelRegistry(tmp_path)
    versions = {registry.save(*train(order(estimator), table)).version for _ in range(2)}
    assert len(versions) == 1
    (found,) = registry.manifests("up")
    assert {found.version} == versions
    other = registry.save(*train(order(estimator, **_other(estimator)), table))
    assert other.version not in versions


def _other(estimator: str) -> dict[str, object]:
    return {"C": 0.01} if estimator == "logistic" else {"max_iter": 7}


def test_shuffled_labels_teach_nothing(table: Table) -> None:
    known = table.known()
    mixed = np.random.default_rng(5).permutation(len(known))
    noise = Table(known.keys, known.key, known.open_us, known.values, known.labels[mixed],
                  known.changes[mixed], known.ends)  # fmt: skip
    manifest, _ = train(order(), noise)
    assert abs(manifest.metrics["valid"]["auc"] - 0.5) < 0.06


def test_one_row_at_a_time_gives_what_all_give(table: Table, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    for estimator in ("logistic", "gbm"):
        manifest = registry.save(*train(order(estimator), table))
        model = registry.load("up", manifest.version)
        rows = table.values[:200]
        together = model.predict_many(rows)
        alone = np.array([model.predict(tuple(row)) for row in rows.tolist()])
        assert np.abs(together - alone).max() < 1e-12


def test_other_rows_are_judged_and_their_drift_is_told(table: Table, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    manifest = registry.save(*train(order(), table))
    model = registry.load("up", manifest.version)
    found = evaluate(model, table)
    assert found["rows"] == len(table.known())
    assert found["metrics"]["auc"] > 0.6
    assert max(found["psi"].values()) < 0.1
    assert "time_of_day_sin" not in found["psi"]
    wild = Table(table.keys, table.key, table.open_us, table.values * 3, table.labels,
                 table.changes, table.ends)  # fmt: skip
    assert evaluate(model, wild)["psi"]["return_1"] > 0.25


def test_what_cannot_be_trained_is_refused_in_words(
    table: Table, lake: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="at least 50 each"):
        train(order(), table.take(np.arange(60)))
    with pytest.raises(ModelError, match=r"logistic refuses: .*unexpected"):
        train(order(depth=3), table)
    other = FeatureSet.model_validate({"name": "base", "features": [{"return": 2}]})
    with pytest.raises(ModelError, match=f"but of {FEATURES.definition}: the set was changed"):
        read_table(lake, other, TARGET)
    with pytest.raises(ModelError, match="ml features"):
        read_table(tmp_path / "nowhere", FEATURES, TARGET)


@pytest.fixture
def registry(table: Table, tmp_path: Path) -> tuple[ModelRegistry, Manifest]:
    found = ModelRegistry(tmp_path)
    return found, found.save(*train(order(), table))


def test_versions_are_found_by_their_first_characters(
    registry: tuple[ModelRegistry, Manifest], tmp_path: Path
) -> None:
    own, manifest = registry
    assert own.resolve("up", manifest.version[:4]) == manifest.version
    assert own.resolve("up", "none") == own.resolve("up", "current") == ""
    own.promote("up", manifest.version)
    assert own.resolve("up", "current") == manifest.version
    with pytest.raises(ModelError, match=f"there are {manifest.version}"):
        own.resolve("up", "0000")
    (tmp_path / "up" / f"{manifest.version[:6]}aaaaaa").mkdir()
    with pytest.raises(ModelError, match="several versions begin"):
        own.resolve("up", manifest.version[:6])
    with pytest.raises(ModelError, match="cryptotools ml train --name down"):
        own.resolve("down", "0000")


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_a_version_whose_files_were_changed_is_refused(
    registry: tuple[ModelRegistry, Manifest], tmp_path: Path, name: str
) -> None:
    own, manifest = registry
    path = tmp_path / "up" / manifest.version / name
    if name == "manifest.json":
        row = json.loads(path.read_text())
        row["target"]["horizon"] = 9
        path.write_text(json.dumps(row))
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="is not what it was"):
        own.load("up", manifest.version)
    path.write_bytes(b"{")
    with pytest.raises(ModelError):
        own.load("up", manifest.version)


def test_a_plan_names_what_is_missing_before_the_start(
    registry: tuple[ModelRegistry, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest = registry
    spec = ModelSpec(name="up", features="base", version=manifest.version[:5])
    config = MlConfig(registry=tmp_path, features=(FEATURES,), models=(spec,))
    assert ml_plan_of(config).resolved == {"up": manifest.version}
    other = FeatureSet.model_validate({"name": "base", "features": [{"return": 2}]})
    with pytest.raises(ModelError, match="was trained on other features than `base`"):
        ml_plan_of(config.model_copy(update={"features": (other,)}))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'cryptotools\[ml\]'"):
        ml_plan_of(config)
    monkeypatch.setitem(sys.modules, "river", None)
    online = ModelSpec.model_validate({"name": "on", "features": "base", "online": {}})
    with pytest.raises(ConfigError, match="models need `river`"):
        ml_plan_of(config.model_copy(update={"models": (online,)}))
    assert ml_plan_of(config.model_copy(update={"models": ()})).resolved == {}
