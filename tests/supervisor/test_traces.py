"""Traces of a real flow and of the API beside it."""

from collections.abc import Callable

import httpx
import pytest

from simulator.local import Simulator
from tests.supervisor.conftest import Job, until
from tests.supervisor.test_api import answering, free_port
from tests.telemetry.collector import collecting

pytestmark = pytest.mark.slow

STAGES = {"klines", "strategies", "redis", "lake"}


def test_batches_and_requests_are_traced(job: Callable[..., Job], calm: Simulator) -> None:
    port = free_port()
    with collecting() as collector:
        own = job(calm, API__ENABLED="true", API__PORT=str(port), TRACES__RATIO="1",
                  TRACES__URL=collector.url)  # fmt: skip
        up = own.start("up")
        own.well()
        url = f"http://127.0.0.1:{port}"
        until(lambda: answering(url), 30, "the API")
        httpx.get(f"{url}/status")

        def whole() -> set[str]:
            roots = {span.id for span in collector.of("trades")}
            found = {r: {s.name for s in list(collector.spans) if s.parent == r} for r in roots}
            return {root for root, names in found.items() if names == STAGES}

        until(whole, 30, "a batch with all its stages")
        until(lambda: collector.of("GET /status"), 30, "a request")
        assert own.end(up) == 0
    services = {span.service for span in collector.spans}
    assert services == {"cryptotools-main", "cryptotools-api"}
    (asked,) = collector.of("GET /status")
    assert asked.about["http.response.status_code"] == 200
