"""What the routes of the API work with; made once, when the app starts."""

import time
from dataclasses import dataclass, field
from typing import Annotated, cast

import redis.asyncio
from fastapi import Depends, Request
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from api.live.hub import Hub
from api.metrics import ApiMetrics, CountedRedis
from api.security.limits import RateLimit
from api.security.tokens import TokenFile, tokens_file
from api.symbols import Listings
from config.settings import Settings
from dataflows.addresses import address
from telemetry.traces import Traces, open_traces

_TIMEOUT_S = 5.0


_STRANGERS_PER_MINUTE = 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls per minute: of known callers, their commands, and those whose token is wrong."""

    requests: RateLimit
    commands: RateLimit
    strangers: RateLimit


@dataclass(slots=True)
class Services:
    """Everything that outlives a request.

    Attributes:
        settings: In force.
        bus: Redis; answers are text.
        tokens: Who may come in.
        limits: How often.
        listings: What the exchange lists.
        metrics: The API's own.
        traces: Where spans go, if anywhere.
        started: When the app was made, seconds of the monotonic clock.
        live: Live push.

    """

    settings: Settings
    bus: redis.asyncio.Redis
    tokens: TokenFile
    limits: Limits
    listings: Listings
    metrics: ApiMetrics = field(default_factory=ApiMetrics)
    traces: Traces | None = None
    started: float = field(default_factory=time.monotonic)
    live: Hub = field(init=False)

    def __post_init__(self) -> None:
        self.live = Hub(self.bus, self.settings.api.live_clients, metrics=self.metrics)

    def patience(self, wait: float | None) -> float:
        """Return how many seconds a command may take, as the caller said or else the settings."""
        return self.settings.api.command_seconds if wait is None else wait


def make_services(settings: Settings) -> Services:
    """Return them.

    Raises:
        ServiceError: It is not known where Redis is.

    """
    metrics = ApiMetrics()
    made = CountedRedis.from_url(
        address(settings),
        decode_responses=True,
        protocol=2,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=2.0,
        retry=Retry(ExponentialWithJitterBackoff(), 2),
    )
    bus = cast("CountedRedis", made)  # the class method tells of its base
    bus.metrics = metrics
    own = settings.api
    limits = Limits(
        RateLimit(own.requests_per_minute),
        RateLimit(own.commands_per_minute),
        RateLimit(_STRANGERS_PER_MINUTE),
    )
    tokens = TokenFile(tokens_file(settings))
    return Services(
        settings,
        bus,
        tokens,
        limits,
        Listings(settings.binance),
        metrics,
        traces=open_traces(settings.traces.url, settings.traces.ratio, "cryptotools-api"),
    )


def services_of(request: Request) -> Services:
    """Return the services of the app that a request came to."""
    found: Services = request.app.state.services
    return found


With = Annotated[Services, Depends(services_of)]
"""A route's parameter: ``async def route(own: With)``."""
