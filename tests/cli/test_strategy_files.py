"""`strategy new` and `strategy test`, as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import ROOT, cli

OWN = "strategies_dir=my_strategies"


def test_a_new_strategy_passes_its_tests_and_says_what_is_next(tmp_path: Path) -> None:
    said = cli(tmp_path, "strategy", "new", "my_dip", "-t", "state").stdout
    assert 'strategies_dir = "my_strategies"' in said
    assert f"cryptotools strategy test my_dip --set {OWN}" in said
    folder = tmp_path / "my_strategies"
    assert sorted(p.name for p in folder.rglob("*.py")) == ["my_dip.py", "test_my_dip.py"]
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert "1 passed" in tests.stdout, tests.stdout
    checked = cli(tmp_path, "strategy", "test", "my_dip", "--set", OWN).stdout
    assert "it keeps them all" in checked


def test_what_was_written_is_listed_for_scripts(tmp_path: Path) -> None:
    options = ("strategy", "new", "my_dip", "--no-tests", "--dir", "here", "--json")
    told = json.loads(cli(tmp_path, *options).stdout)
    assert told == {"files": ["here/my_dip.py"], "strategies_dir": "here"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("new", "My-Dip"), "expected a name of small letters, digits and `_`"),
        (("new", "rsi_reversal"), "there is a strategy of this name"),
        (("new", "x", "-t", "magic"), "there are breakout cross indicator state trades trend"),
        (("test", "nosuch"), "no strategy of that name"),
        (("test", "rsi_reversal", "-p", "period=1"), "greater than or equal to 2"),
        (("test", "rsi_reversal", "-i", "7m"), "7m"),
        (("test", "rsi_reversal", "--data", "none.csv"), "none.csv"),
    ],
)
def test_a_mistake_is_one_clear_error(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    code = 1 if "none.csv" in options else 2
    assert words in cli(tmp_path, "strategy", *options, exit_code=code).stderr


def test_nothing_is_written_over(tmp_path: Path) -> None:
    cli(tmp_path, "strategy", "new", "mine")
    file = tmp_path / "my_strategies" / "mine.py"
    file.write_text("# changed")
    said = cli(tmp_path, "strategy", "new", "mine", exit_code=1).stderr
    assert "exists already" in said
    assert file.read_text() == "# changed"


def test_a_check_that_fails_is_an_exit_code_and_a_reason(tmp_path: Path) -> None:
    cli(tmp_path, "strategy", "new", "mine", "--no-tests")
    file = tmp_path / "my_strategies" / "mine.py"
    text = file.read_text().replace("def on_kline", "seen = []\n\n    def on_kline")
    text = text.replace(
        "        # Called once", "        self.seen.append(1)\n        # Called once"
    )
    text = text.replace("crossed_above(self.params.low)", "crossed_above(len(self.seen) % 50)")
    file.write_text(text)
    options = ("strategy", "test", "mine", "--set", OWN, "--json")
    told = json.loads(cli(tmp_path, *options, exit_code=1).stdout)
    assert told["passed"] is False
    assert "fail" in {check["verdict"] for check in told["checks"]}
