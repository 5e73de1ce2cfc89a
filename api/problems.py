"""Errors as ``application/problem+json`` (RFC 9457), which name the field and the way out."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import redis
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from client.models import Problem
from core.market.errors import (
    ConfigError,
    CryptoToolsError,
    MarketError,
    ModelError,
    ServiceError,
    StrategyError,
)

LOG = logging.getLogger("cryptotools.api")

MEDIA_TYPE = "application/problem+json"
_SHORT = 80


class ProblemError(Exception):
    """What a caller did wrong, or what is not there.

    Args:
        status: Of the answer.
        detail: What is wrong, with the bad value.
        field: Which part of the request.
        hint: The way out.
        headers: Of the answer.

    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str = "",
        hint: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.field, self.hint = status, detail, field, hint
        self.headers = headers or {}


def answer(error: ProblemError) -> JSONResponse:
    """Return a problem as a response."""
    body = Problem(
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail,
        field=error.field or None,
        hint=error.hint or None,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True),
        error.status,
        headers=error.headers,
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Have an app answer every error with a problem."""

    @app.exception_handler(ProblemError)
    async def _problem(_request: Request, error: ProblemError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(CryptoToolsError)
    async def _ours(_request: Request, error: CryptoToolsError) -> JSONResponse:
        return answer(of(error))

    @app.exception_handler(redis.RedisError)
    async def _away(_request: Request, error: redis.RedisError) -> JSONResponse:
        return answer(of(redis_away(error)))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        said = said_of(first)
        where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return answer(ProblemError(422, said, field=where))

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        return answer(ProblemError(error.status_code, str(error.detail), headers=headers))

    @app.exception_handler(Exception)
    async def _fault(request: Request, error: Exception) -> JSONResponse:
        LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        own = str(getattr(request.state, "request_id", ""))  # this answer passes by the middleware
        headers = {"X-Request-ID": own} if own else {}
        return answer(ProblemError(500, "our fault; the log has more", headers=headers))


def said_of(error: Mapping[str, Any]) -> str:
    """Return what pydantic says of a value, with the value where it is short."""
    said = str(error["msg"]).removeprefix("Value error, ")
    value = error.get("input")
    short = isinstance(value, str | int | float | bool) and len(str(value)) <= _SHORT
    return f"`{value}`: {said}" if short else said


def redis_away(error: Exception) -> ServiceError:
    """Return what is to be said when Redis does not answer."""
    return ServiceError("redis", str(error) or type(error).__name__, hint="is it running?")


def of(error: CryptoToolsError) -> ProblemError:
    """Return one of our errors as a problem: 503 what is not there, 422 what cannot be."""
    hint = str(getattr(error, "hint", "") or "")
    text = str(error).partition("\nhint: ")[0]
    if isinstance(error, ServiceError):
        return ProblemError(503, text, hint=hint, headers={"Retry-After": "2"})
    if isinstance(error, ConfigError):
        return ProblemError(422, text, field=error.key, hint=hint)
    if isinstance(error, MarketError | StrategyError | ModelError):
        return ProblemError(422, text, hint=hint)
    return ProblemError(500, text, hint=hint)
