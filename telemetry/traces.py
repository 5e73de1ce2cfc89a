"""Traces, for those who have a collector: a share of batches, requests and repairs, as spans.

    trades   received ─► handed to the flow        a trace of its own per batch
      ├ klines, strategies   handed out ─► done
      └ redis, lake          received ─► acknowledged, lasting

Spans are made when what they tell of is over, from times that are taken anyhow. Whether a batch is
traced depends on its key and last id only. They leave by OTLP over HTTP on a thread of the library,
from a queue that is bounded: a collector that is away or slow costs spans, nothing else.
"""

import logging
import random
import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING
from zlib import crc32

from core.market.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind

LOG = logging.getLogger("cryptotools.traces")

_QUEUE = 2048
_EVERY_MS = 2000
_TIMEOUT_S = 3
_MOST = 1024

Attributes = Mapping[str, str | int | float | bool]


class Traces:
    """Makes spans of one process.

    Args:
        url: Of the collector, such as ``http://localhost:4318``.
        ratio: Share of batches, requests and repairs that is traced.
        service: What the process calls itself.

    Raises:
        ConfigError: The library is not installed.

    """

    def __init__(self, url: str, ratio: float, service: str) -> None:
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
            hint = "pip install 'cryptotools[otel]', or unset it"
            raise ConfigError("traces.url", "traces need the extra `otel`", hint=hint)
        # Only here: who does not trace needs none of it.
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import DEFAULT_ON
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=_TIMEOUT_S)
        self._provider = TracerProvider(
            sampler=DEFAULT_ON,  # chosen here, unless a caller has chosen
            resource=Resource.create({"service.name": service}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=_QUEUE, schedule_delay_millis=_EVERY_MS)
        )
        self._trace = trace
        self._tracer = self._provider.get_tracer("cryptotools")
        self._outside = TraceContextTextMapPropagator()
        self._ratio = ratio
        self._roots: dict[int, Context] = {}  # of traced batches, by when they were received
        self._epoch_ns = time.time_ns() - time.monotonic_ns()

    def batch(self, key: str, last_id: int, rows: int, received_ns: int, handed_ns: int) -> None:
        """Note a batch that was handed to the flow; times are monotonic nanoseconds."""
        if crc32(f"{key}:{last_id}".encode()) >= self._ratio * 2**32:
            return
        about: Attributes = {"key": key, "last_id": last_id, "rows": rows}
        self._roots[received_ns] = self._span("trades", received_ns, handed_ns, about)
        if len(self._roots) > _MOST:
            del self._roots[next(iter(self._roots))]

    def stage(self, name: str, received_ns: int, began_ns: int, ended_ns: int) -> None:
        """Note that a batch that was received then has passed a stage."""
        root = self._roots.get(received_ns)
        if root is not None:
            self._span(name, began_ns, ended_ns, {}, root)

    def repair(self, key: str, outcome: str, began_ns: int, ended_ns: int) -> None:
        """Note a hole that was closed."""
        if self._chance():
            self._span("repair", began_ns, ended_ns, {"key": key, "outcome": outcome})

    def request(
        self, name: str, seconds: float, about: Attributes, headers: Mapping[str, str], *, ok: bool
    ) -> None:
        """Note a request that has just ended; its `headers` may name the trace it is part of."""
        if not headers and not self._chance():
            return
        now = time.monotonic_ns()
        context = self._outside.extract(headers)
        kind = self._trace.SpanKind.SERVER
        self._span(name, now - int(seconds * 1e9), now, about, context, kind=kind, ok=ok)

    def job(self, kind: str, seconds: float, about: Attributes, *, ok: bool) -> None:
        """Note a job that has just ended."""
        if self._chance():
            now = time.monotonic_ns()
            self._span(f"job {kind}", now - int(seconds * 1e9), now, about, ok=ok)

    def close(self) -> None:
        """Send what waits, if the collector takes it within seconds."""
        # The library would wait for each batch in turn; an end must not take longer than that.
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(_TIMEOUT_S)

    # ---- how ----

    def _chance(self) -> bool:
        return random.random() < self._ratio

    def _span(
        self,
        name: str,
        began_ns: int,
        ended_ns: int,
        about: Attributes,
        context: "Context | None" = None,
        *,
        kind: "SpanKind | None" = None,
        ok: bool = True,
    ) -> "Context":
        span = self._tracer.start_span(
            name, context, kind or self._trace.SpanKind.INTERNAL, about,
            start_time=self._epoch_ns + began_ns,
        )  # fmt: skip
        if not ok:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(self._epoch_ns + ended_ns)
        return self._trace.set_span_in_context(span)


def open_traces(url: str, ratio: float, service: str) -> Traces | None:
    """Return what makes spans; None where no collector is set.

    Raises:
        ConfigError: The library is not installed.

    """
    if not url:
        return None
    LOG.info("%g of batches and requests are traced to %s", ratio, url)
    return Traces(url, ratio, service)
