"""Traces reach a real collector; one that is not there harms nobody."""

import importlib.util
import socket
import time

import pytest

from core.market.errors import ConfigError
from telemetry import traces
from telemetry.passage import Passage, Stamp
from telemetry.traces import Traces, open_traces
from tests.telemetry.collector import collecting

KEY = "binance:BTCUSDT"
PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
UNWANTED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00"}


def test_a_batch_is_one_trace_of_its_stages() -> None:
    with collecting() as collector:
        passage = Passage()
        passage.traces = Traces(collector.url, 1.0, "test")
        now = time.monotonic_ns()
        passage.enter(KEY, 7, Stamp(now - 5_000_000, now - 2_000_000, 3))
        passage.built(KEY, 7)
        passage.decided(KEY)
        passage.arrived("redis", now - 5_000_000, 3)
        passage.arrived("lake", now - 5_000_000, 3)
        passage.arrived("lake", now - 99_000_000, 3)  # of a batch that nobody traced
        passage.traces.close()
    (root,) = collector.of("trades")
    assert (root.parent, root.service) == ("", "test")
    assert root.about == {"key": KEY, "last_id": 7, "rows": 3}
    assert root.ended_ns - root.began_ns == 3_000_000
    assert abs(root.ended_ns - time.time_ns()) < 60_000_000_000
    stages = [span for span in collector.spans if span is not root]
    assert [span.name for span in stages] == ["klines", "strategies", "redis", "lake"]
    assert {(span.trace, span.parent) for span in stages} == {(root.trace, root.id)}
    assert [span.began_ns - root.began_ns for span in stages] == [3_000_000, 3_000_000, 0, 0]


def test_a_share_of_batches_is_traced_always_the_same() -> None:
    def traced() -> set[int]:
        with collecting() as collector:
            own = Traces(collector.url, 0.25, "test")
            for n in range(400):
                own.batch(KEY, n, 1, n, n + 1)
            own.close()
        return {int(span.about["last_id"]) for span in collector.of("trades")}

    found = traced()
    assert 60 < len(found) < 140
    assert traced() == found


def test_a_request_is_part_of_the_trace_that_its_caller_names() -> None:
    with collecting() as collector:
        own = Traces(collector.url, 0.0, "test")
        own.request("GET /status", 0.5, {"http.route": "/status"}, {}, ok=True)
        own.request("GET /status", 0.5, {"http.route": "/status"}, UNWANTED, ok=True)
        own.request("GET /ready", 0.25, {"http.route": "/ready"}, PARENT, ok=False)
        own.close()
    (span,) = collector.spans
    assert (span.trace, span.parent) == (PARENT["traceparent"][3:35], "b7ad6b7169203331")
    assert (span.name, span.failed, span.about) == ("GET /ready", True, {"http.route": "/ready"})
    assert span.ended_ns - span.began_ns == 250_000_000


def test_what_waits_is_bounded() -> None:
    with collecting() as collector:
        own = Traces(collector.url, 1.0, "test")
        for n in range(3000):
            own.batch(KEY, n, 1, n, n + 1)
        assert len(own._roots) == 1024
        own.close()


def test_a_collector_that_is_not_there_costs_spans_and_seconds_at_the_end_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # takes connections, never answers
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        own = Traces(url, 1.0, "test")
        began = time.monotonic()
        for n in range(5000):
            own.batch(KEY, n, 1, n, n + 1)
        assert time.monotonic() - began < 5
        began = time.monotonic()
        own.close()
        assert time.monotonic() - began < 5


def test_without_an_address_there_are_none() -> None:
    assert open_traces("", 1.0, "test") is None


def test_who_lacks_the_library_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        assert name.startswith("opentelemetry")

    monkeypatch.setattr(traces, "find_spec", missing)
    assert importlib.util.find_spec is not missing
    with pytest.raises(ConfigError, match=r"cryptotools\[otel\]"):
        open_traces("http://127.0.0.1:4318", 1.0, "test")
