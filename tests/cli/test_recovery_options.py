"""Options and errors of recovery, as a user meets them: before anything is started."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import load
from dataflows.recovery import Fingerprint, accept, prepare_store

ROOT = Path(__file__).parents[2]
NOWHERE = ("--set", "binance.rest_url=http://127.0.0.1:9", "--set", "binance.ws_url=ws://127.0.0.1:9",
           "--set", "redis.url=none")  # fmt: skip
FIXED: dict[str, str | int] = {"binance.shards": 3, "binance.endpoint": "custom"}


def cli(folder: Path, *options: str, exit_code: int) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *options], cwd=folder, timeout=60, check=False,
        env=env | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr + done.stdout


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = prepare_store(tmp_path / "state" / "recovery", load(env={}, dotenv=None))
    own = Fingerprint("0.0.1", FIXED, {}, ())
    accept(path, own)
    assert accept(path, replace(own, version="0.0.2"))
    return path


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("command", ["run", "up"])
def test_a_count_that_is_fixed_is_refused_with_the_way_out(tmp_path: Path, command: str) -> None:
    said = cli(tmp_path, command, *NOWHERE, exit_code=2)
    assert (
        "`binance.shards`: is `1`, but the recovery store state/recovery was made with `3`" in said
    )
    assert "set it back to `3`, or start a new store with `--fresh`" in said
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("command", ["run", "up"])
def test_a_damaged_store_is_refused_with_the_way_out(store: Path, command: str) -> None:
    (store / "part-2.sqlite3").write_bytes(b"nonsense" * 600)
    said = cli(store.parents[1], command, *NOWHERE, exit_code=3)
    assert "part-2.sqlite3 is damaged" in said
    assert "--fresh" in said


def test_a_folder_and_no_recovery_exclude_each_other(tmp_path: Path) -> None:
    said = cli(tmp_path, "run", "-r", "somewhere", "--no-recovery", exit_code=2)
    assert "exclude each other" in said


def test_status_where_nothing_ran(tmp_path: Path) -> None:
    assert "nothing has run here" in cli(tmp_path, "status", exit_code=3)
    assert '"state":"none"' in cli(tmp_path, "status", "--json", exit_code=3)
