"""The app: routers, errors, and what lives as long as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from api import problems
from api.routes import live, system
from api.services import make_services
from client.models import Problem
from config.settings import Settings

V1 = "/api/v1"

_ERRORS: dict[int | str, dict[str, object]] = {
    "4XX": {"model": Problem, "description": "What is wrong with the request."},
    "5XX": {"model": Problem, "description": "Redis is away, or our fault."},
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
            await own.bus.aclose()

    app = FastAPI(
        title="CryptoTools",
        version=version("cryptotools"),
        lifespan=lifespan,
        responses=_ERRORS,
        openapi_url=f"{V1}/openapi.json",
        docs_url=None,  # the stock pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.state.services = own
    problems.install(app)
    app.include_router(system.router)
    app.include_router(live.router, prefix=V1)
    return app
