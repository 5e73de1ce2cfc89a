"""``cryptotools simulate``: lists, files of one's own, and mistakes in them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from simulator.faults import FAULTS, parse_fault
from simulator.scenarios import scenarios

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "cli.main", "simulate")


def simulate(folder: Path, *options: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *options], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_scenarios_are_listed_with_their_speed_and_faults(tmp_path: Path) -> None:
    rows = json.loads(simulate(tmp_path, "--list", "--json").stdout)
    assert [row["name"] for row in rows] == list(scenarios())
    (demo,) = [row for row in rows if row["name"] == "demo"]
    assert (demo["speed"], demo["faults"]) == (30.0, ["drop@after=150s,connection=1"])
    assert all(parse_fault(text) for row in rows for text in row["faults"])
    shown = simulate(tmp_path, "--list").stdout
    assert "five symbols in real time" in shown
    assert "drop@after=150s,connection=1" in shown


def test_faults_are_listed_with_their_options(tmp_path: Path) -> None:
    rows = json.loads(simulate(tmp_path, "--faults", "--json").stdout)
    assert [row["name"] for row in rows] == list(FAULTS)
    assert all(row["about"] and row["fact"] and row["options"] for row in rows)
    shown = simulate(tmp_path, "--faults").stdout
    assert "status=BREAK|HALT|CANCEL_ONLY" in shown
    assert all(name in shown for name in FAULTS)


def test_a_file_of_ones_own_is_served(tmp_path: Path) -> None:
    (tmp_path / "storm.toml").write_text(
        'base = "calm"\nfaults = ["rest@status=403,path=ping"]\n[market]\nhistory = 5\n'
    )
    with subprocess.Popen(
        [*COMMAND, "-s", "storm.toml", "-p", "0", "--json", "--fault", "rest@status=502,path=time"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        codes = [httpx.get(f"{found['rest']}/api/v3/{p}").status_code for p in ("ping", "time")]
        assert codes == [403, 502]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spead = 3", "storm.toml: spead"),
        ("faults = ['status@symbol=NOSUCH']", "`symbol=NOSUCH` is not traded here"),
        ("faults = ['drop@never']", "`never` in `drop@never` is no option"),
        ("speed =", "is not TOML"),
    ],
)
def test_a_mistake_in_a_file_is_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "storm.toml").write_text(text)
    assert said in simulate(tmp_path, "-s", "storm.toml", "-p", "0", exit_code=2).stderr
