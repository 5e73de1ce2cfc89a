"""What is read from heartbeats: fresh, stale, dead, several."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.commands.status import shown
from dataflows.heartbeat import write_status
from dataflows.status import read_status

NOW = 1_000_000.0


def beat(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - of any field
    at = "2026-01-05T12:00:00.000+00:00"
    one = {"last_id": 9, "last_time": at, "known_until": at, "lag_s": 0.1, "gaps_open": 0}
    quiet = one | {"last_id": None, "last_time": None}
    own = {
        "process": 0, "pid": os.getpid(), "version": "1", "started": "", "uptime_s": 61.0,
        "written": NOW - 1, "beats": 3, "turns": 5, "snapshots": 1, "state": "running",
        "following": ["BTCUSDT", "ETHUSDT", "DOGEBTC"],
        "symbols": {"binance:BTCUSDT": one, "binance:DOGEBTC": quiet},
        "links": {"binance:shard-0": 1}, "rows": {"received": 10, "accepted": 9},
        "gaps_permanent": 0, "redis": {"backlog_rows": 4, "away_s": 0.0, "blocked": False},
        "disk": {"path": "lake", "free_bytes": 9 << 30, "total_bytes": 10 << 30},
        "rss_bytes": 5 << 20, "failure": None,
    }  # fmt: skip
    return own | changes


def above(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - of any field
    own = {
        "pid": os.getpid(), "state": "running", "written": NOW - 1, "processes": 1,
        "children": [], "restarts": 2, "last_cause": "ended by SIGKILL", "version": "1",
    }  # fmt: skip
    return own | changes


def put(folder: Path, **rows: dict[str, Any]) -> Path:
    (folder / "status").mkdir(exist_ok=True)
    for name, row in rows.items():
        write_status(folder / "status" / f"{name.removeprefix('p')}.json", row)
    return folder


@pytest.fixture
def gone() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def text(folder: Path) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as captured:
        console.print(shown(read_status(folder, NOW)))
    return captured.get()


def test_nothing_has_run(tmp_path: Path) -> None:
    assert read_status(tmp_path, NOW).state == "none"
    assert "nothing has run here" in text(tmp_path)


def test_a_flow_that_runs_is_well_and_shown(tmp_path: Path) -> None:
    found = read_status(put(tmp_path, p0=beat()), NOW)
    assert (found.well, found.age_s, found.backlog_rows) == (True, 1.0, 4)
    said = text(tmp_path)
    assert "running for 1:01" in said
    assert "binance:BTCUSDT" in said
    assert "ETHUSDT" in said  # nothing heard of it yet
    assert "binance:DOGEBTC" in said  # no trade yet
    assert "10 received, 9 accepted" in said


def test_one_that_is_silent_is_frozen_and_one_that_is_gone_is_dead(
    tmp_path: Path, gone: int
) -> None:
    assert read_status(put(tmp_path, p0=beat(written=NOW - 6)), NOW).state == "frozen"
    assert "no sign of life, last heard of 6 s ago" in text(tmp_path)
    assert read_status(put(tmp_path, p0=beat(pid=gone)), NOW).state == "dead"
    assert "ended without a word" in text(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"links": {"binance:shard-0": 0}}, "binance:shard-0 is not connected"),
        ({"links": {}}, "not connected yet"),
        ({"redis": {"backlog_rows": 9, "away_s": 7.0}}, "redis has taken no rows for 7 s"),
        ({"disk": {"path": "lake", "free_bytes": 5 << 20}}, "disk of lake has 5 MiB left"),
        (
            {"symbols": {"binance:X": {"last_id": 1, "last_time": "", "lag_s": 60.0,
                                       "gaps_open": 1}}},
            "binance:X is 60 s behind",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    found = read_status(put(tmp_path, p0=beat(**changes)), NOW)
    assert found.state == "running"
    assert not found.well
    assert said in " ".join(found.troubles)


def test_processes_of_a_cluster_are_summed_and_one_that_lacks_is_noticed(tmp_path: Path) -> None:
    put(tmp_path, p0=beat(), supervisor=above(processes=2))
    assert read_status(tmp_path, NOW).state == "starting"
    other = beat(process=1, symbols={}, links={"binance:shard-1": 1})
    found = read_status(put(tmp_path, p1=other), NOW)
    assert found.well
    assert found.rows == {"received": 20, "accepted": 18}
    assert (found.restarts, found.rss_bytes) == (2, 10 << 20)
    assert "restarted 2 times" in text(tmp_path)


def test_a_dead_child_under_a_living_supervisor_is_being_restarted(
    tmp_path: Path, gone: int
) -> None:
    put(tmp_path, p0=beat(pid=gone), supervisor=above())
    assert read_status(tmp_path, NOW).state == "restarting"
    put(tmp_path, supervisor=above(pid=gone))
    assert read_status(tmp_path, NOW).state == "dead"


def test_a_failure_is_shown(tmp_path: Path) -> None:
    put(tmp_path, p0=beat(state="failed", failure={"text": "disk full", "exit_code": 3}))
    assert read_status(tmp_path, NOW).state == "failed"
    assert "disk full" in text(tmp_path)


def test_torn_files_are_no_error(tmp_path: Path) -> None:
    put(tmp_path, p0=beat())
    (tmp_path / "status" / "1.json").write_text("{")
    (tmp_path / "status" / "supervisor.json").write_text("")
    assert read_status(tmp_path, NOW).well
