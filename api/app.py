"""The app: routers, errors, and what lives as long as it does."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from api import problems
from api.data.proof import Proofs
from api.description import describe
from api.jobs.runner import Runner
from api.observe import REQUEST_ID, Observer
from api.routes import (
    data,
    indicators,
    instances,
    jobs,
    live,
    models,
    page,
    performance,
    proof,
    session,
    strategies,
    symbols,
    system,
)
from api.security.door import Door
from api.services import make_services
from config.settings import Settings

V1 = "/api/v1"

_PARTS = (
    session, symbols, strategies, instances, data, indicators, jobs, models, proof,
    performance, live,
)  # fmt: skip

_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PATCH", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", REQUEST_ID],
    "expose_headers": ["ETag", "Idempotency-Replayed", "Location", "Retry-After", REQUEST_ID],
}


def create_app(settings: Settings) -> FastAPI:
    """Return the app.

    Raises:
        ServiceError: It is not known where Redis is.

    """
    own = make_services(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            async with own.live.running():
                yield
        finally:
            await app.state.jobs.close()
            await own.bus.aclose()
            if own.traces is not None:
                await to_thread.run_sync(own.traces.close)

    app = FastAPI(
        title="CryptoTools",
        version=version("cryptotools"),
        lifespan=lifespan,
        openapi_url=f"{V1}/openapi.json",
        docs_url=None,  # the stock pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.state.services = own
    app.state.jobs = Runner(own)
    app.state.proofs = Proofs(settings.lake.path)
    problems.install(app)
    describe(app)
    app.include_router(system.router)
    for part in _PARTS:
        app.include_router(part.router, prefix=V1)
    if settings.api.dashboard:
        app.include_router(page.router)
    app.add_middleware(Door, config=settings.api)
    if settings.api.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(settings.api.cors_origins), **_CORS)
    # A dashboard asks every other second: nobody wants to read that on a screen.
    reads = logging.INFO if settings.log.json_lines else logging.DEBUG
    app.add_middleware(Observer, metrics=own.metrics, traces=own.traces, reads=reads)
    return app
