"""The exporter on a real port."""

import socket

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from core.market.errors import ServiceError
from telemetry.exporter import Exporter


@pytest.fixture
def port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


@pytest.fixture
def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("x", "Of x.", registry=found).inc(3)
    return found


def test_metrics_are_served_until_the_end(port: int, registry: CollectorRegistry) -> None:
    own = Exporter("127.0.0.1", port, registry=registry)
    own.start()
    assert own.address == f"http://127.0.0.1:{port}/metrics"
    answer = httpx.get(own.address)
    assert answer.status_code == 200
    assert "x_total 3.0" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    own.end()
    own.end()
    with pytest.raises(httpx.ConnectError):
        httpx.get(own.address)
    again = Exporter("127.0.0.1", port, registry=registry)  # the port was given back
    again.start()
    again.end()


def test_further_processes_listen_one_port_higher_each(
    port: int, registry: CollectorRegistry
) -> None:
    own = Exporter("127.0.0.1", port - 2, process=2, registry=registry)
    own.start()
    try:
        assert own.address.endswith(f":{port}/metrics")
        assert httpx.get(own.address).status_code == 200
    finally:
        own.end()


def test_port_0_serves_nothing(registry: CollectorRegistry) -> None:
    own = Exporter("127.0.0.1", 0, process=3, registry=registry)
    own.start()
    own.end()


def test_a_port_that_is_taken_names_the_setting(registry: CollectorRegistry) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"metrics 127.0.0.1:{port}.*in use") as error:
            Exporter("127.0.0.1", port, registry=registry).start()
        assert "`metrics.port`" in str(error.value)


def test_a_host_that_is_not_here_names_the_setting(registry: CollectorRegistry) -> None:
    with pytest.raises(ServiceError, match=r"metrics 203\.0\.113\.1:9464") as error:
        Exporter("203.0.113.1", 9464, registry=registry).start()
    assert "`metrics.host`" in str(error.value)
