"""A real flow with its metrics on: scraped, killed, stopped."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from simulator.local import Simulator
from telemetry.metrics import FLOW
from tests.supervisor.conftest import Job, until

Make = Callable[..., Job]


@pytest.fixture
def port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


def scrape(port: int) -> dict[str, float]:
    """Return the samples by name and labels; none where nobody answers."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return {}
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


def total(found: dict[str, float], name: str) -> float:
    return sum(value for key, value in found.items() if re.fullmatch(rf"{name}(\{{.*\}})?", key))


def told(own: Job) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads((own.folder / "state/status/0.json").read_bytes())
    return row


def flowing(port: int) -> dict[str, float]:
    def look() -> dict[str, float] | None:
        found = scrape(port)
        ready = total(found, "cryptotools_trades_accepted_total") > 100
        lasting = 'cryptotools_snapshot_seconds_count{step="lake"}' in found
        passed = total(found, "cryptotools_latency_seconds_count") > 100
        balanced = 'cryptotools_books_unexplained_rows{books="lake"}' in found
        return found if ready and lasting and passed and balanced else None

    found: dict[str, float] = until(look, 30, "a flow with metrics")
    return found


def test_every_metric_is_served_and_the_books_balance(
    job: Make, busy: Simulator, port: int
) -> None:
    own = job(busy, METRICS__PORT=str(port))
    process = own.start("run")
    first = flowing(port)
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    for one in FLOW:
        name = one.name.removesuffix("_total") if one.kind == "counter" else one.name
        assert re.search(rf"^# TYPE {name}(_total)? {one.kind}$", text, re.MULTILINE), one.name
    for stage in ("exchange", "source", "klines", "strategies", "redis", "lake"):
        assert first[f'cryptotools_latency_seconds_count{{stage="{stage}"}}'] > 0, stage
    for books in ("source", "lake"):
        assert first[f'cryptotools_books_unexplained_rows{{books="{books}"}}'] == 0
    assert total(first, "cryptotools_links_open") == 1
    assert total(first, "cryptotools_frames_received_total") > 0
    assert total(first, "cryptotools_rest_weight_total") > 0
    assert total(first, "cryptotools_redis_call_seconds_count") > 0
    assert total(first, "cryptotools_build_info") == 1
    if shutil.which("promtool") is not None:
        checked = subprocess.run(
            ["promtool", "check", "metrics"],
            input=text,
            text=True,
            capture_output=True,
            check=False,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    link = until(lambda: told(own)["connections"], 10, "a connection")[0]
    assert link["msgs_s"] > 0
    assert set(told(own)["latency_ms"]["redis"]) == {"p50", "p95", "p99"}

    assert own.end(process) == 0
    assert scrape(port) == {}
    last = told(own)
    assert (last["state"], last["books"]) == ("stopped", {"source": 0, "lake": 0})
    assert last["rows"]["accepted"] == last["rows"]["stored"] > 0


def test_the_books_balance_after_a_kill_too(job: Make, busy: Simulator, port: int) -> None:
    own = job(busy, METRICS__PORT=str(port))
    process = own.start("run")
    flowing(port)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process = own.start("run")
    again = flowing(port)
    assert again['cryptotools_rows_restored_total{kind="trades"}'] > 0
    assert total(again, "cryptotools_trades_repaired_total") > 0
    assert own.end(process) == 0
    assert told(own)["books"] == {"source": 0, "lake": 0}


def test_a_port_that_is_taken_ends_the_start_of_the_engines_own_command(
    job: Make, busy: Simulator
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        own = job(busy, METRICS__PORT=str(port))
        command = [sys.executable, "-m", "bytewax.run", "dataflows.main"]
        found = subprocess.run(
            command, cwd=own.folder, env=own.env, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert found.returncode != 0
        assert f"error: metrics 127.0.0.1:{port}" in found.stderr
        assert "`metrics.port`" in found.stderr
        assert "Traceback" not in found.stderr
        assert own.run("run")[0] == 3
