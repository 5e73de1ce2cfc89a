"""Whether the API and the flows live, and how they are."""

import platform
import time
from importlib.metadata import version

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.flows import read_flows
from api.security.guard import Reader
from api.services import With
from client.models import FlowStatus, Health, Version

router = APIRouter(tags=["system"])


@router.get("/health")
async def health(own: With) -> Health:
    """Say that the process lives: nothing else is asked."""
    return Health(uptime_s=round(time.monotonic() - own.started, 1))


@router.get("/ready")
async def ready(own: With) -> Health:
    """Say that requests can be answered: Redis is there."""
    await own.bus.ping()
    return Health(uptime_s=round(time.monotonic() - own.started, 1))


@router.get("/version")
async def get_version() -> Version:
    """Say what runs."""
    return Version(version=version("cryptotools"), python=platform.python_version())


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def get_metrics(own: With, _caller: Reader) -> Response:
    """Tell Prometheus of the API itself; flows serve their own (`metrics.port`)."""
    body = generate_latest(own.metrics.registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


@router.get("/status")
async def status(own: With, _caller: Reader) -> dict[str, FlowStatus]:
    """Say how each flow is: connections, lag per symbol, queues, Redis, disk, counters."""
    flows = await read_flows(own.bus)
    return {
        name: FlowStatus.model_validate(flow.status.as_dict() | {"name": name})
        for name, flow in flows.items()
    }
