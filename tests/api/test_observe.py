"""What is noted of requests: metrics, a line of log, an id."""

import asyncio
import logging
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.exceptions import ConnectionError as NotThere
from redis.exceptions import ResponseError

from api.live.hub import Hub
from api.live.mailbox import TAPE, Mailbox, Value
from api.metrics import ApiMetrics, CountedRedis
from api.security.tokens import TokenFile, tokens_file
from config.settings import Settings
from tests.api.double import settings_at
from tests.api.live.clients import socket
from tests.api.served import client, served

LOGGER = "cryptotools.api.request"


def sample(text: str, name: str, **labels: str) -> float:
    """Return the sum of the samples of a name that have these labels."""
    found = 0.0
    for line in text.splitlines():
        head, _, value = line.rpartition(" ")
        told = dict(re.findall(r'(\w+)="([^"]*)"', head))
        if head.partition("{")[0] == name and labels.items() <= told.items():
            found += float(value)
    return found


def lines(caplog: pytest.LogCaptureFixture, route: str = "") -> list[dict[str, Any]]:
    rows = [getattr(r, "fields", {}) for r in caplog.records if r.name == LOGGER]
    return [row for row in rows if not route or row["route"] == route]


async def eventually(look: Callable[[], bool], what: str) -> None:
    for _ in range(1000):
        if look():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what)


def test_requests_are_counted_by_template_not_by_path(api: httpx.Client) -> None:
    for path in ("/status", "/api/v1/instances/none", "/api/v1/instances/other", "/no/such/path"):
        api.get(path)
    api.request("PROPFIND", "/status")
    text = api.get("/metrics").text
    name = "cryptotools_api_requests_total"
    assert sample(text, name, route="/status", method="GET", status="200") == 1
    assert sample(text, name, route="/api/v1/instances/{instance}") == 2
    assert sample(text, name, route="unmatched", status="404") == 1
    assert sample(text, name, method="OTHER") == 1
    assert "other" not in text
    assert "/no/such" not in text
    seconds = "cryptotools_api_request_seconds_count"
    assert sample(text, seconds, route="/api/v1/instances/{instance}") == 2
    assert sample(text, "cryptotools_api_requests_in_flight") == 1  # this very one


def test_each_app_counts_for_itself(settings: Settings) -> None:
    with client(settings) as one, client(settings) as other:
        one.get("/status")
        text = other.get("/metrics").text
        assert sample(text, "cryptotools_api_requests_total", route="/status") == 0


def test_metrics_need_a_token_that_may_read(api: httpx.Client, settings: Settings) -> None:
    assert api.get("/metrics").status_code == 200
    text, _ = TokenFile(tokens_file(settings)).make("prometheus", ("read",))
    assert api.get("/metrics").status_code == 401
    answer = api.get("/metrics", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    for one in ApiMetrics().catalogue:
        assert f"# TYPE {one.name.removesuffix('_total')}" in answer.text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_promtool_finds_nothing_wrong(api: httpx.Client) -> None:
    api.get("/status")
    text = api.get("/metrics").text
    found = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_a_request_is_one_line_without_query_or_headers(
    api: httpx.Client, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    text, _ = TokenFile(tokens_file(settings)).make("ops", ("read",))
    caplog.set_level(logging.DEBUG, logger=LOGGER)
    headers = {"Authorization": f"Bearer {text}", "X-Request-ID": "mine-1"}
    api.get("/api/v1/symbols/search", params={"q": "very-secret"}, headers=headers)
    api.get("/health")
    api.get("/status")
    (row,) = lines(caplog, "/api/v1/symbols/search")
    assert list(row) == ["method", "route", "status", "ms", "caller", "request_id"]
    assert (row["method"], row["caller"], row["request_id"]) == ("GET", "ops", "mine-1")
    assert row["ms"] > 0
    (stranger,) = lines(caplog, "/status")
    assert (stranger["caller"], stranger["status"]) == ("-", 401)
    levels = {r.levelno for r in caplog.records if "/health" in r.getMessage()}
    assert levels == {logging.DEBUG}
    assert "very-secret" not in caplog.text
    assert text not in caplog.text


@pytest.mark.parametrize(("json", "reads"), [(True, logging.INFO), (False, logging.DEBUG)])
def test_reads_that_go_well_are_told_to_machines_only(
    settings: Settings, caplog: pytest.LogCaptureFixture, *, json: bool, reads: int
) -> None:
    caplog.set_level(logging.DEBUG, logger=LOGGER)
    log = settings.log.model_copy(update={"json_lines": json})
    with client(settings.model_copy(update={"log": log})) as api:
        api.get("/api/v1/session")
        api.get("/api/v1/instances/nobody")
        api.delete("/api/v1/symbols/BTCUSDT")
    found = [record.levelno for record in caplog.records if record.name == LOGGER]
    assert found == [reads, logging.INFO, logging.INFO]


@pytest.mark.parametrize(
    ("said", "kept"),
    [("abc-1.2:3_4", True), ("", False), ("x" * 65, False), ("a b", False), ("é", False)],
)
def test_a_request_has_an_id(api: httpx.Client, said: str, kept: bool) -> None:
    answer = api.get("/health", headers={b"X-Request-ID": said.encode()})  # not all is ASCII
    found = answer.headers["x-request-id"]
    assert (found == said) is kept
    assert re.fullmatch(r"[\w.:-]{1,64}", found)


def test_our_fault_has_an_id_and_is_counted(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_bus: object) -> None:
        raise ZeroDivisionError

    caplog.set_level(logging.INFO, logger=LOGGER)
    monkeypatch.setattr("api.routes.system.read_flows", broken)
    headers = {"X-Request-ID": "mine-2", "Connection": "close"}
    answer = api.get("/status", headers=headers)
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine-2")
    assert lines(caplog, "/status")[0]["status"] == 500
    text = api.get("/metrics").text
    assert sample(text, "cryptotools_api_requests_total", route="/status", status="500") == 1
    assert sample(text, "cryptotools_api_requests_in_flight") == 1


def test_live_clients_and_their_frames_are_counted_while_they_stream(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger=LOGGER)

    async def watch(url: str) -> None:
        async with httpx.AsyncClient(base_url=url) as own:

            async def now() -> str:
                return (await own.get("/metrics")).text

            path = "/api/v1/live/sse"
            async with own.stream("GET", path, params={"topics": "status"}) as answer:
                body = answer.aiter_lines()
                while not (await anext(body)).startswith("data: "):  # nothing holds it back
                    pass
                async with socket(url, "status") as found:
                    await found.recv()
                    text = await now()
                    for transport in ("sse", "websocket"):
                        name = "cryptotools_api_live_clients"
                        assert sample(text, name, transport=transport) == 1
                        frames = "cryptotools_api_live_frames_total"
                        assert sample(text, frames, transport=transport) >= 1
                    assert sample(text, "cryptotools_api_requests_in_flight") == 1
                    begun = "cryptotools_api_request_seconds_count"
                    assert sample(text, begun, route="/api/v1/live/sse") == 1
            await eventually(lambda: len(lines(caplog, "/api/v1/live/sse")) == 1, "its line")
            await eventually(lambda: len(lines(caplog, "/api/v1/live/ws")) == 1, "its line")
            text = await now()
            assert sample(text, "cryptotools_api_live_clients") == 0

    with served(settings) as url:
        asyncio.run(watch(url))
    (row,) = lines(caplog, "/api/v1/live/ws")
    assert (row["method"], row["caller"]) == ("WEBSOCKET", "local")


def test_a_redis_that_is_away_is_counted(tmp_path: Path) -> None:
    with client(settings_at("redis://127.0.0.1:1", tmp_path)) as api:
        assert api.get("/ready").status_code == 503
        text = api.get("/metrics").text
        assert sample(text, "cryptotools_api_redis_errors_total", kind="away") >= 1
        assert sample(text, "cryptotools_api_redis_errors_total", kind="refused") == 0


def test_calls_and_pipelines_that_are_refused_are_counted(url: str) -> None:
    async def work() -> float | None:
        metrics = ApiMetrics()
        bus = CountedRedis.from_url(url)
        assert isinstance(bus, CountedRedis)
        bus.metrics = metrics
        with pytest.raises(ResponseError):
            await bus.execute_command("NO-SUCH")
        pipe = bus.pipeline(transaction=False)
        pipe.execute_command("NO-SUCH")
        with pytest.raises(ResponseError):
            await pipe.execute()
        metrics.redis_failed(NotThere())
        await bus.aclose()
        return metrics.registry.get_sample_value(
            "cryptotools_api_redis_errors_total", {"kind": "refused"}
        )

    assert asyncio.run(work()) == 2


def test_what_a_slow_client_never_sees_is_counted(url: str) -> None:
    async def work() -> ApiMetrics:
        metrics = ApiMetrics()
        bus = CountedRedis.from_url(url, decode_responses=True)
        assert isinstance(bus, CountedRedis)
        bus.metrics = metrics
        hub = Hub(bus, 5, metrics=metrics)
        async with hub.session(frozenset({"events"}), None, "sse") as one:
            for _ in range(3):
                one.put(("ticker", "BTCUSDT"), Value(b"{}"))
            one.trade("trades/BTCUSDT", [b"{}"] * TAPE, TAPE + 7)
            assert await one.frame() is not None
        await bus.aclose()
        return metrics

    read = asyncio.run(work()).registry.get_sample_value
    assert read("cryptotools_api_live_values_coalesced_total") == 2
    assert read("cryptotools_api_live_dropped_total", {"what": "trades"}) == 7
    assert read("cryptotools_api_live_frames_total", {"transport": "sse"}) == 1
    assert read("cryptotools_api_live_clients", {"transport": "sse"}) == 0


def test_a_mailbox_tells_once_what_it_replaced() -> None:
    own = Mailbox()
    for _ in range(4):
        own.put(("a",), Value(b"1"))
    assert own.counted() == (3, 0)
    assert own.counted() == (0, 0)
