"""The API's own metrics: one set for each app, served at ``/metrics`` of the app itself."""

from typing import Any

import redis.asyncio
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as NotThere
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as TooSlow

from telemetry.catalogue import Catalogue

_ANSWERS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
JOBS = ("queued", "running")


class ApiMetrics:
    """Every metric of the API.

    Attributes:
        registry: What is served.
        catalogue: What they are.

    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.catalogue = Catalogue(self.registry)
        self.requests = own.counter(
            "cryptotools_api_requests",
            "Requests answered; the route is a template, or `unmatched`.",
            ["method", "route", "status"],
        )
        self.seconds = own.histogram(
            "cryptotools_api_request_seconds",
            "Time to the end of an answer; of a stream, to its beginning.",
            ["method", "route"], _ANSWERS,
        )  # fmt: skip
        self.in_flight = own.gauge(
            "cryptotools_api_requests_in_flight", "Requests that wait for their answer's beginning."
        )
        self.clients = own.gauge(
            "cryptotools_api_live_clients", "Clients of live push.", ["transport"]
        )
        self.frames = own.counter(
            "cryptotools_api_live_frames", "Frames given to clients of live push.", ["transport"]
        )
        self.coalesced = own.counter(
            "cryptotools_api_live_values_coalesced",
            "Values that were replaced by newer ones before a client was ready for them.",
        )
        self.dropped = own.counter(
            "cryptotools_api_live_dropped",
            "What clients were not sent: trades (more than a tape holds), values (too many wait).",
            ["what"],
        )
        self.resets = own.counter(
            "cryptotools_api_live_resets", "Clients told to fetch anew: their place was too old."
        )
        self.jobs = own.gauge(
            "cryptotools_api_jobs", "Jobs of this process: queued or running.", ["state"]
        )
        self.jobs_ended = own.counter(
            "cryptotools_api_jobs_ended", "Jobs that are done, failed or cancelled.",
            ["kind", "state"],
        )  # fmt: skip
        self.redis_errors = own.counter(
            "cryptotools_api_redis_errors",
            "Calls of Redis that failed: away (no answer) or refused.", ["kind"],
        )  # fmt: skip
        self._begin()

    def _begin(self) -> None:
        # What can happen is there from the start: a counter that appears has no rate.
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        for transport in ("sse", "websocket"):
            self.clients.labels(transport)
            self.frames.labels(transport)
        for what in ("trades", "values"):
            self.dropped.labels(what)
        for state in JOBS:
            self.jobs.labels(state)
        for kind in ("away", "refused"):
            self.redis_errors.labels(kind)

    def redis_failed(self, error: RedisError) -> None:
        """Count a call that failed."""
        kind = "away" if isinstance(error, NotThere | TooSlow) else "refused"
        self.redis_errors.labels(kind).inc()


class CountedRedis(redis.asyncio.Redis):
    """A client whose errors are counted; `metrics` is set once, before its first call."""

    metrics: ApiMetrics

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as redis-py
        """Send a command and return its answer."""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # untyped in redis-py
        except RedisError as error:
            self.metrics.redis_failed(error)
            raise

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "Pipeline":
        """Return a pipeline whose errors are counted."""
        found = _CountedPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
        found.metrics = self.metrics
        return found


class _CountedPipeline(Pipeline):
    metrics: ApiMetrics

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        try:
            return await super().execute(raise_on_error)
        except RedisError as error:
            self.metrics.redis_failed(error)
            raise
