"""Jobs: real processes over a real API, what they give, how they end."""

import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import httpx
import orjson
import pytest
import redis

from client.jobs import JobItem, Sort
from connectors.redis.keys import JOB_ENDS, JOBS
from core.paper.config import PaperConfig
from dataflows.backtest_window import FOREVER_US
from reports.order import Data, check, identified, swept, understand
from reports.plain import as_dict
from reports.results import SORTS
from tests.api.data.markets import DEADLINE_S, FAST, Market, Serve, Server, until, walk


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return folders of klines: with some, and with very many."""
    data, many = (tmp_path_factory.mktemp(name) for name in ("some", "many"))
    walk(data)
    shutil.copy(walk(many, 150_000), many / "ETHUSDT-1m.csv")
    return data, many


@pytest.fixture
def stocked(market: Market, files: tuple[Path, Path], tmp_path: Path) -> Market:
    """A market with files of klines where jobs may read."""
    data = tmp_path / "data"
    shutil.copytree(files[0], data)
    many = files[1]
    api = market.settings.api.model_copy(update={"data_dirs": (data, many)})
    market.settings = market.settings.model_copy(update={"api": api, "strategies": (FAST,)})
    return market


def ended(http: httpx.Client, job: str) -> JobItem:
    def look() -> JobItem | None:
        item = JobItem.model_validate(http.get(f"/jobs/{job}").json())
        return None if item.state in {"queued", "running"} else item

    found: JobItem = until(look)
    return found


def running(http: httpx.Client, job: str) -> JobItem:
    def look() -> JobItem | None:
        item = JobItem.model_validate(http.get(f"/jobs/{job}").json())
        return item if item.state == "running" and item.progress > 0 else None

    found: JobItem = until(look)
    return found


def long(market: Market) -> dict[str, Any]:
    return {"kind": "backtest", "data": [str(market.settings.api.data_dirs[1])]}


@pytest.mark.slow
def test_a_backtest_gives_what_the_command_gives(stocked: Market, serve: Serve) -> None:
    http = serve(stocked.settings)
    data = stocked.settings.api.data_dirs[0]
    asked = {
        "kind": "backtest", "data": [str(data)], "params": {"period": [3, 5], "oversold": 40},
        "from": "2025-01-31T08:00:00Z", "warmup": "lookback", "cash": "500", "fee_bps": 5,
    }  # fmt: skip
    taken = http.post("/jobs", json=asked)
    assert taken.status_code == 202, taken.text
    job = taken.json()["id"]
    assert taken.headers["location"] == f"/api/v1/jobs/{job}"
    item = ended(http, job)
    assert (item.state, item.progress, item.error) == ("done", 1.0, None)
    assert item.created <= (item.started or item.created) <= (item.ended or item.created)
    result = http.get(f"/jobs/{job}/result").json()
    paper = PaperConfig(cash=Decimal(500), fee_bps=Decimal(5))
    settings = stocked.settings.model_copy(update={"paper": paper})
    order = understand(
        settings, (FAST,), ["period=3,5", "oversold=40"], Data((data,)),
        (datetime(2025, 1, 31, 8, tzinfo=UTC), None, "lookback"), most=100,
    )  # fmt: skip
    run = identified(order, "sharpe", 20)
    found = swept(order, 1, run, lambda _: None)
    check(found, order)
    assert order.job.window.end_us == FOREVER_US
    own = orjson.loads(orjson.dumps(as_dict(run, found)))
    assert [r["statistics"] for r in result["results"]] == [r["statistics"] for r in own["results"]]
    assert result["hash"] == own["hash"]
    report = http.get(f"/jobs/{job}/report")
    assert report.headers["content-type"] == "text/html; charset=utf-8"
    assert (
        "default-src 'none'; style-src 'unsafe-inline'" in report.headers["content-security-policy"]
    )
    assert "<script" not in report.text
    assert "Back-test of rsi_reversal" in report.text
    assert [one["id"] for one in http.get("/jobs?state=done").json()["items"]] == [job]
    assert http.get("/jobs?state=failed").json()["items"] == []
    http.delete(f"/jobs/{job}")
    assert http.get(f"/jobs/{job}").status_code == 404
    assert not (stocked.settings.state_dir / "jobs" / job).exists()


@pytest.mark.slow
def test_a_replay_gives_its_figures_and_a_failure_its_reason(stocked: Market, serve: Serve) -> None:
    http = serve(stocked.settings)
    data = str(stocked.settings.api.data_dirs[0])
    jobs = [
        http.post("/jobs", json=body).json()["id"]
        for body in (
            {"kind": "replay", "data": [data]},
            {"kind": "backtest", "data": [data], "strategies": ["no_such"]},
        )
    ]
    done, failed = (ended(http, job) for job in jobs)
    figures = http.get(f"/jobs/{jobs[0]}/result").json()
    assert done.state == "done"
    assert figures["klines"]["1m"] == 600
    assert figures["files"]
    nothing = http.get(f"/jobs/{jobs[0]}/report")
    assert (nothing.status_code, nothing.json()["detail"]) == (
        404, "only a back-test has a report",
    )  # fmt: skip
    assert failed.state == "failed"
    assert "no_such" in (failed.error or "")
    assert failed.hint
    refused = http.get(f"/jobs/{jobs[1]}/result")
    assert (refused.status_code, "failed" in refused.json()["detail"]) == (409, True)


@pytest.mark.slow
def test_so_many_run_at_once_and_wait_and_any_replica_can_end_them(
    stocked: Market, serve: Serve
) -> None:
    one, other = serve(stocked.settings), serve(stocked.settings)
    first = one.post("/jobs", json=long(stocked)).json()["id"]
    waiting = [one.post("/jobs", json=long(stocked)).json() for _ in range(20)]
    assert {item["state"] for item in waiting} == {"queued"}
    more = one.post("/jobs", json=long(stocked))
    assert (more.status_code, more.headers["retry-after"]) == (429, "30")
    assert len(other.get("/jobs").json()["items"]) == 21
    running(other, first)
    assert other.get(f"/jobs/{first}/result").status_code == 409
    assert other.delete(f"/jobs/{waiting[-1]['id']}").status_code == 202
    assert ended(other, waiting[-1]["id"]).state == "cancelled"
    assert one.delete(f"/jobs/{waiting[-2]['id']}").json()["state"] == "cancelled"
    assert other.delete(f"/jobs/{first}").status_code == 202
    assert ended(other, first).state == "cancelled"
    assert running(other, waiting[0]["id"])


@pytest.mark.slow
def test_jobs_end_with_the_api_and_are_told_as_failed(stocked: Market, client: redis.Redis) -> None:
    server = Server(stocked.settings)
    job = server.client.post("/jobs", json=long(stocked)).json()["id"]
    running(server.client, job)
    server.end()
    row = orjson.loads(client.hget(JOBS, job))  # type: ignore[arg-type]  # hints of both clients
    assert (row["item"]["state"], row["item"]["error"]) == ("failed", "the API was stopped")


def test_a_job_whose_api_died_is_shown_as_failed(
    stocked: Market, serve: Serve, client: redis.Redis
) -> None:
    http = serve(stocked.settings)
    item = {
        "id": "a" * 32, "kind": "replay", "state": "running", "created": "2025-01-31T00:00:00Z",
        "request": {},
    }  # fmt: skip
    client.hset(JOBS, "a" * 32, orjson.dumps({"written": time.time() - 60, "item": item}))
    client.hset(JOBS, "b" * 32, "of another version")
    found = http.get(f"/jobs/{'a' * 32}").json()
    assert (found["state"], found["error"]) == (
        "failed", "its process ended: the API that ran it is gone",
    )  # fmt: skip
    assert len(http.get("/jobs").json()["items"]) == 1
    http.delete(f"/jobs/{'a' * 32}")
    assert not client.hexists(JOBS, "a" * 32)
    assert not client.hlen(JOB_ENDS)


@pytest.mark.slow
def test_a_process_ends_when_whoever_started_it_is_gone(stocked: Market, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    tree = stocked.settings.model_dump(mode="json")
    tree["redis"]["url"] = "none"
    (folder / "settings.json").write_bytes(orjson.dumps(tree))
    told = {
        "kind": "replay", "paths": [str(stocked.settings.api.data_dirs[1])], "strategies": [],
        "market": None, "symbol": None,
    }  # fmt: skip
    (folder / "job.json").write_bytes(orjson.dumps(told))
    command = [sys.executable, "-m", "cli.job", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # it works
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 130
    assert not (folder / "result.json").exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "backtest", "data": ["/etc"]}, "data"),
        ({"kind": "backtest", "data": ["../../../etc/passwd"]}, "data"),
        ({"kind": "replay", "data": ["lake/../../other"]}, "data"),
        ({"kind": "replay", "data": ["\x00"]}, "data"),
        ({"kind": "replay", "data": []}, "data"),
        ({"kind": "backtest", "interval": "7m", "data": ["recordings"]}, "interval"),
        ({"kind": "backtest", "from": "soon", "data": ["recordings"]}, "from"),
        ({"kind": "backtest", "from": "2025-02-01", "to": "2025-01-01"}, "to"),
        ({"kind": "backtest", "cash": "-5"}, "cash"),
        ({"kind": "backtest", "params": {"a": "1,2"}}, "params"),
        ({"kind": "backtest", "params": {"a=b": 1}}, "params"),
        ({"kind": "backtest", "colour": "red"}, "colour"),
        ({"kind": "nothing"}, "kind"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    stocked: Market, serve: Serve, body: dict[str, Any], field: str
) -> None:
    for path in (stocked.settings.lake.path, stocked.settings.recording.path):
        path.mkdir(exist_ok=True)
    http = serve(stocked.settings)
    found = http.post("/jobs", json=body)
    assert found.status_code == 422, found.text
    assert field in str(found.json().get("field", "")) or field in found.json()["detail"]
    assert http.get("/jobs").json()["items"] == []


def test_links_out_of_the_folders_are_followed_and_refused(
    stocked: Market, serve: Serve, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    shutil.copy(stocked.settings.api.data_dirs[0] / "BTCUSDT-1m.csv", secret)
    link = stocked.settings.api.data_dirs[0] / "link"
    link.symlink_to(secret)
    http = serve(stocked.settings)
    for path in (link, link / "BTCUSDT-1m.csv", secret, secret / "nothing"):
        found = http.post("/jobs", json={"kind": "replay", "data": [str(path)]})
        assert found.status_code == 422
        assert found.json()["detail"] == f"`{path}` may not be read"


def test_where_no_jobs_are_started_it_is_said(stocked: Market, serve: Serve) -> None:
    api = stocked.settings.api.model_copy(update={"jobs": 0})
    http = serve(stocked.settings.model_copy(update={"api": api}))
    assert http.post("/jobs", json=long(stocked)).status_code == 403
    assert http.get(f"/jobs/{'c' * 32}").status_code == 404
    assert http.get("/jobs/nonsense").status_code == 422


def test_what_jobs_sort_by_is_what_reports_sort_by() -> None:
    assert set(get_args(Sort)) == set(SORTS)
