"""A live run that is killed and goes on: its recording gives its hashes, nothing is missing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simulator.local import Simulator
from simulator.scenarios import scenario

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SPEED = 60.0
SYMBOLS = ("BTCUSDT", "ETHUSDT")
CONFIG = """
symbols = ["BTCUSDT", "ETHUSDT"]
strategies = [{{ name = "bollinger_breakout", params = {{ period = 3, width = 0.5 }} }}]
[klines]
intervals = ["1m", "5m"]
[binance]
ws_url = "{ws}"
rest_url = "{rest}"
backoff_base = 0.1
[redis]
url = "none"
"""


def command(folder: Path, *options: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *options],
        cwd=folder, env=env | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def until_minutes(sim: Simulator, minutes: float) -> None:
    deadline = time.monotonic() + 100
    while (sim.now_us() - sim.start_us) < minutes * 60_000_000:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def told(folder: Path, *options: str, exit_code: int = 0) -> list[dict[str, object]]:
    process = command(folder, *options, "--json")
    out, errors = process.communicate(timeout=60)
    assert process.returncode == exit_code, out + errors
    found: list[dict[str, object]] = json.loads(out)
    return found


def test_a_killed_run_goes_on_and_is_proven_by_its_recording(tmp_path: Path) -> None:
    settings = scenario("calm").settings.model_copy(update={"speed": SPEED})
    with Simulator(settings) as sim:
        (tmp_path / "cryptotools.toml").write_text(CONFIG.format(ws=sim.ws_url, rest=sim.rest_url))
        first = command(tmp_path, "run", "--recovery", "store")
        until_minutes(sim, 16.0)  # a snapshot every ten seconds, which are ten minutes here
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=30)
        # What it left can be proven at once, as far as it is recorded.
        assert not [v for v in told(tmp_path, "verify-parity") if not v["equal"]]
        second = command(tmp_path, "run", "--recovery", "store")
        until_minutes(sim, 26.0)
        second.send_signal(signal.SIGINT)
        _, errors = second.communicate(timeout=60)
        assert second.returncode == 0, errors
    found = told(tmp_path, "verify-parity")
    assert len({v["started_us"] for v in found}) == 1
    assert not [v for v in found if not v["equal"]]
    streams = {"klines 1m", "klines 5m", "signals", "fills", "equity"}
    assert {(v["key"], v["stream"]) for v in found} == {
        (f"binance:{symbol}", stream) for symbol in SYMBOLS for stream in streams
    }
    assert all(v["records"] == v["of"] for v in found)
    assert min(int(str(v["of"])) for v in found if v["stream"] == "klines 1m") >= 20
    assert not [gap for gap in told(tmp_path, "gaps") if gap["between"]]
