"""The API beside a real flow: commands take effect at once, outlast a kill, and are recorded."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from simulator.local import Simulator
from tests.supervisor.conftest import SYMBOLS, Job, lake_rows, until

pytestmark = pytest.mark.slow

Make = Callable[..., Job]


def free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


def signals(instance: dict[str, list[dict[str, int]]]) -> int:
    return sum(row["signals"] for row in instance["symbols"])


def answering(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").is_success
    except httpx.HTTPError:
        return False


def test_commands_by_http_take_effect_outlast_a_kill_and_are_recorded(
    job: Make, calm: Simulator
) -> None:
    port = free_port()
    own = job(calm, RECORDING__PATH="recordings", API__ENABLED="true", API__PORT=str(port))
    up = own.start("up")
    before = own.well()
    url = f"http://127.0.0.1:{port}"
    until(lambda: answering(url), 30, "the API")
    spent: dict[str, float] = {}
    with httpx.Client(base_url=f"{url}/api/v1", timeout=30) as api:

        def ask(what: str, method: str, path: str, body: object = None) -> dict[str, object]:
            began = time.monotonic()
            answer = api.request(method, path, json=body)
            spent[what] = time.monotonic() - began
            found: dict[str, object] = answer.json()
            assert answer.is_success, found
            assert found["outcome"] == "applied", found
            return found

        params = {"period": 3, "oversold": 49, "overbought": 51}
        new = {"name": "rsi_reversal", "instance": "fast", "params": params}
        ask("subscribe", "POST", "/symbols", {"symbols": ["BNBUSDT"]})
        began = time.monotonic()
        until(lambda: api.get("/symbols/BNBUSDT").json().get("last_id"), 30, "its first trade")
        spent["first data"] = time.monotonic() - began
        ask("unsubscribe", "DELETE", "/symbols/SOLUSDT")
        ask("add", "POST", "/instances", new)
        ask("update", "PATCH", "/instances/fast", {"params": {"period": 4}})
        ask("pause", "POST", "/instances/fast/pause")
        ask("remove", "DELETE", "/instances/macd_cross")
        ask("stop", "POST", "/instances/bollinger_breakout/stop")

        snapshots = own.status()["processes"]["0"]["snapshots"]
        until(lambda: own.status()["processes"]["0"]["snapshots"] > snapshots + 2, 30, "a snapshot")
        os.kill(before["processes"]["0"]["pid"], signal.SIGKILL)
        until(lambda: own.status()["restarts"] == 1 and own.status()["well"], 30, "it again")

        def states() -> dict[str, str]:
            return {row["instance"]: row["state"] for row in api.get("/instances").json()}

        wanted = {"fast": "paused", "rsi_reversal": "running", "bollinger_breakout": "stopped"}
        until(lambda: states() == wanted, 30, "the instances as they were")
        assert api.get("/instances/fast").json()["spec"]["params"]["period"] == 4
        followed = {row["symbol"] for row in api.get("/symbols").json()}
        assert followed == {"BTCUSDT", "ETHUSDT", "BNBUSDT"}
        ask("resume", "POST", "/instances/fast/resume")
        ask("start", "POST", "/instances/bollinger_breakout/start")
        until(lambda: signals(api.get("/instances/fast").json()), 90, "its signals")
        actions = [row["action"] for row in api.get("/audit").json()]
        assert actions[:2] == ["start", "resume"]
        proof = api.post("/jobs", json={"kind": "parity"}).json()["id"]  # while it runs
        until(lambda: api.get(f"/jobs/{proof}").json()["state"] == "done", 60, "a proof")
        proven = api.get(f"/jobs/{proof}/result").json()
        assert proven["equal"], proven
        assert {v["stream"] for v in proven["verdicts"]} >= {"klines 1m", "signals"}
    assert own.end(up) == 0
    slow = {what: round(s, 3) for what, s in spent.items() if s > (3 if "first" in what else 1)}
    assert not slow, spent  # on idle cores all but the first take some 50 ms
    assert not answering(url)
    kept = {*SYMBOLS, "BNBUSDT"} - {"SOLUSDT"}
    rows = [r for s in kept for r in lake_rows(own.folder / "lake", "signals", s)]
    assert any(r["instance"] == "fast" for r in rows)
    code, said = own.run("verify-parity")  # a replay obeys the same commands
    assert code == 0, said


def test_an_api_that_dies_is_started_again_and_the_flow_goes_on(job: Make, calm: Simulator) -> None:
    port = free_port()
    own = job(calm, API__ENABLED="true", API__PORT=str(port))
    up = own.start("up")
    own.well()
    url = f"http://127.0.0.1:{port}"
    until(lambda: answering(url), 30, "the API")
    taken, said = own.run("up", STATE_DIR=str(own.folder / "other"))
    assert taken == 3
    assert f"api 127.0.0.1:{port}: " in said
    assert "choose another one" in said

    def uptime() -> float:
        return float(httpx.get(f"{url}/health").json()["uptime_s"]) if answering(url) else 1e9

    before = uptime()
    for pid in children(up.pid):
        if b"--saved" in command_of(pid):
            os.kill(pid, signal.SIGKILL)
    until(lambda: uptime() < before, 30, "the API again")
    found = own.status()
    assert (found["restarts"], found["well"]) == (0, True)
    assert own.end(up) == 0


def children(pid: int) -> list[int]:
    # By the thread that started them.
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(one) for path in lists for one in path.read_text().split()]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
