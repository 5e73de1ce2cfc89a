"""`cryptotools ml` as the guide shows it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from config.settings import load
from core.market.events import ModelChanged
from tests.dataflows.ml_market import write_klines

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/ml.md").read_text("utf-8")


def cli(folder: Path, *options: str, exit_code: int = 0, before: str = "pass") -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    code = f"import sys; {before}; sys.argv[0] = 'cryptotools'; from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *options],
        cwd=folder, env=env | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def blocks(language: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return found


def prepared(folder: Path, days: int) -> None:
    write_klines(folder / "klines", days)
    write_klines(folder / "later", 2, first=days)
    (folder / "cryptotools.toml").write_text(blocks("toml")[0])


def test_the_guides_settings_are_settings(tmp_path: Path) -> None:
    for block in blocks("toml"):
        path = tmp_path / "cryptotools.toml"
        path.write_text(block)
        assert load(path, env={}, dotenv=None).ml.models
    assert ModelChanged.kind in GUIDE


def life(folder: Path, *, accuracy: float) -> None:
    assert "rows of base (10 columns" in cli(folder, "ml", "features", "klines", "--lake", "lake")
    train = ("ml", "train", "--name", "up", "--features", "base")
    manifest = json.loads(cli(folder, *train, "--json"))
    valid = manifest["metrics"]["valid"]
    assert valid["accuracy"] > max(accuracy, valid["baseline_accuracy"] + 0.03)
    version = manifest["version"]
    assert "no version is promoted" in cli(folder, "ml", "evaluate", "up", exit_code=2)
    assert version in cli(folder, "ml", "promote", "up", version[:5], "--offline")
    assert re.search(rf"up +{version} +\*", cli(folder, "ml", "list"))
    cli(folder, "ml", "features", "later", "--lake", "later-lake")
    judged = json.loads(cli(folder, "ml", "evaluate", "up", "--data", "later-lake", "--json"))
    assert judged["metrics"]["accuracy"] > accuracy - 0.03
    cli(folder, "replay", "later", "--lake", "replayed")
    said = [
        row
        for path in (folder / "replayed" / "signals").rglob("part-*.parquet")
        for row in pq.ParquetFile(path).read().to_pylist()
    ]
    assert len(said) > 50
    assert all(f"up {version} says" in row["reason"] for row in said)


def test_from_nothing_to_a_promoted_model(tmp_path: Path) -> None:
    prepared(tmp_path, 5)
    life(tmp_path, accuracy=0.55)


@pytest.mark.slow
def test_from_sixty_days_to_a_promoted_model(tmp_path: Path) -> None:
    prepared(tmp_path, 60)
    life(tmp_path, accuracy=0.6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("ml", "features", "later", "-f", "other"), "there is no set `other`"),
        (("ml", "train", "-n", "up", "-f", "base", "-m", "forest"), "one of logistic"),
        (("ml", "promote", "up", "0000", "--offline"), "no version `0000`"),
    ],
)
def test_a_mistake_is_one_clear_error(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    (tmp_path / "cryptotools.toml").write_text(blocks("toml")[0])
    (tmp_path / "later").mkdir()
    assert said in cli(tmp_path, *options, exit_code=2)


def test_without_the_extra_the_way_out_is_told_and_features_go_on(tmp_path: Path) -> None:
    prepared(tmp_path, 1)
    gone = "; ".join(
        f"sys.modules['{name}'] = None" for name in ("onnxruntime", "sklearn", "river", "skl2onnx")
    )
    cli(tmp_path, "ml", "features", "klines", "--lake", "lake", before=gone)
    for options in (
        ("replay", "later"),
        ("ml", "train", "-n", "up", "-f", "base", "--lake", "lake"),
    ):
        said = cli(tmp_path, *options, exit_code=2, before=gone)
        assert "pip install 'cryptotools[ml]'" in said
        assert "is not installed" in said
