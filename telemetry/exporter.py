"""Serves a process's metrics to Prometheus, for as long as its flow runs.

Whoever reaches the port can read them: there are no tokens, as Prometheus's own exporters have
none. Names of instruments and strategies are in them, no settings and no secrets.
"""

import logging
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from core.market.errors import ServiceError

LOG = logging.getLogger("cryptotools.metrics")

PATH = "/metrics"


class Exporter:
    """A server of ``/metrics`` on a thread of its own.

    Args:
        host: Address to listen at; 0.0.0.0 for a Prometheus on another machine.
        port: Of process 0; 0: nothing is served.
        process: Number of the process: it listens at a port that much higher.
        registry: What is served.

    """

    def __init__(
        self, host: str, port: int, *, process: int = 0, registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._host, self._port = host, port + process if port else 0
        self._registry = registry
        self._running: tuple[WSGIServer, Thread] | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}{PATH}"

    def start(self) -> None:
        """Begin to serve; with port 0 do nothing.

        Raises:
            ServiceError: The address cannot be had.

        """
        if not self._port:
            return
        try:
            self._running = start_http_server(self._port, self._host, self._registry)
        except OSError as error:
            raise ServiceError(
                f"metrics {self._host}:{self._port}",
                str(error.strerror or error),
                hint="choose another `metrics.port` (or `metrics.host`); 0 serves none",
            ) from None
        LOG.info("metrics are at %s", self.address)

    def end(self) -> None:
        """Serve no more."""
        if self._running is None:
            return
        server, thread = self._running
        self._running = None
        server.shutdown()
        server.server_close()
        thread.join()
