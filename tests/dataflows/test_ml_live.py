"""The life of a model with real processes: rows, training, shadow, promotion, kill -9, replay."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.parquet.learned import read_features, read_predictions
from simulator.local import Simulator
from simulator.scenarios import scenario
from tests.supervisor.conftest import Job, lake_rows, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SETTINGS = """
symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]

[klines]
base = "1s"
intervals = ["1s"]

[[ml.features]]
name = "fast"
interval = "1s"
warmup = 15
features = [
  { indicator = "rsi", params = { period = 5 } },
  { return = 1 }, { return = 3 }, { taker_imbalance = 3 },
]
"""
MODELS = """
[[ml.models]]
name = "up"
features = "fast"

[[ml.models]]
name = "learner"
features = "fast"
online = { horizon = 3, ready = 30 }

[ml.scores]
window = 100
every = 20

[[strategies]]
name = "ml"
params = { model = "up", long_above = 0.505, short = true, short_below = 0.495 }
interval = "1s"

[[strategies]]
name = "ml"
instance = "learner"
params = { model = "learner", long_above = 0.52 }
interval = "1s"
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Job]:
    with Simulator(scenario("calm").settings.model_copy(update={"speed": 20.0})) as sim:
        job = Job(tmp_path, sim)
        del job.env["CRYPTOTOOLS_SYMBOLS"]
        yield job
        job.clean()


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("part-*.parquet"))}


def said(own: Job, model: str, version: str = "") -> int:
    found = read_predictions(own.folder / "lake", {"BTCUSDT"}, pending=True)
    return sum(p.model == model and version in ("", p.version) for p in found)


def snapshots(own: Job) -> int:
    return int(own.status()["processes"]["0"]["snapshots"])


def train(own: Job, *options: str) -> dict[str, Any]:
    code, text = own.run("ml", "train", "--name", "up", "--features", "fast", "--horizon", "3",
                         *options, "--json")  # fmt: skip
    assert code == 0, text
    found: dict[str, Any] = json.loads(text[text.index("{") :])
    return found


def test_the_life_of_a_model(own: Job) -> None:
    settings = own.folder / "cryptotools.toml"
    lake = own.folder / "lake"

    # A flow without models stores rows; `ml features` makes the same of its recording.
    settings.write_text(SETTINGS)
    first = own.start("run")
    own.well()
    until(lambda: sum(1 for _ in read_features(lake, "fast", pending=True)) > 600, 60, "rows")
    assert own.end(first) == 0, own.said()
    code, text = own.run("ml", "features", "recordings", "--lake", "again")
    assert code == 0, text
    assert files(own.folder / "again") == {
        k: v for k, v in files(lake).items() if k.startswith("features")
    }

    one, two = train(own), train(own, "--model", "gbm", "-p", "max_iter=20")
    assert one["version"] != two["version"]
    listed = json.loads(own.run("ml", "list", "--json")[1])
    assert {m["version"] for m in listed} == {one["version"], two["version"]}
    assert own.run("ml", "promote", "up", one["version"][:6], "--offline")[0] == 0

    # With the models: one version speaks, another is scored beside it, then promoted.
    settings.write_text(SETTINGS + MODELS)
    for folder in ("lake", "recordings", "state/recovery"):
        (own.folder / folder).rename(own.folder / f"old-{folder.replace('/', '-')}")
    up = own.start("up")
    before = own.well()
    until(lambda: said(own, "up", one["version"]) > 20, 60, "predictions of the first version")
    code, text = own.run("ml", "shadow", "up", two["version"])
    assert (code, text.count("running")) == (0, 3), text
    until(lambda: said(own, "up", two["version"]) > 20, 60, "predictions of a shadow")
    code, text = own.run("ml", "promote", "up", two["version"])
    assert (code, text.count("running")) == (0, 3), text
    assert own.run("ml", "promote", "up", "0000")[0] == 2

    marks, taken = said(own, "learner"), snapshots(own)
    until(lambda: snapshots(own) > taken + 1, 30, "a snapshot")
    os.kill(before["processes"]["0"]["pid"], signal.SIGKILL)
    own.well(restarts=1)
    until(lambda: said(own, "learner") > marks + 200, 60, "predictions after the kill")
    assert own.end(up) == 0, own.said()

    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        changes = [
            json.loads(row["detail"])
            for row in lake_rows(lake, "events", symbol)
            if row["kind"] == "model_changed"
        ]
        ups = [(c["version"], c["shadows"], c["state"]) for c in changes if c["model"] == "up"]
        assert ups == [
            (one["version"], "", "running"),
            (one["version"], two["version"], "running"),
            (two["version"], "", "running"),
        ]  # no second start: the snapshot holds what was promoted
        learner = [c for c in changes if c["model"] == "learner"]
        assert [c["detail"] for c in learner] == [""]  # it did not begin anew
        predicted = [p for p in read_predictions(lake, {symbol}) if p.model == "learner"]
        learned = [p.value is not None for p in predicted]
        assert learned == sorted(learned)  # once it knows enough it always does
        opens = [p.open_us for p in predicted]
        assert opens == list(range(opens[0], opens[-1] + 1, 1_000_000))

    # The recording gives the same predictions and signals, with the pointer where it now is.
    code, text = own.run("verify-parity")
    assert code == 0, text
    assert "predictions up" in text
    assert "predictions learner" in text
    code, text = own.run("replay", "recordings", "--lake", "replayed")
    assert code == 0, text
    for kind in ("features", "predictions", "signals"):
        assert files(own.folder / "replayed" / kind) == files(lake / kind), kind
    signals = [row for s in ("BTCUSDT", "ETHUSDT") for row in lake_rows(lake, "signals", s)]
    assert any(f"up {two['version']}" in row["reason"] for row in signals)
    assert any(row["instance"] == "learner" for row in signals)
