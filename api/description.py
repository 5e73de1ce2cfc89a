"""The OpenAPI description: what FastAPI writes, with our errors in place of its own."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import MEDIA_TYPE
from client.models import Problem

_ABOUT = """
Market data and signals of CryptoTools, live and recorded, and the commands that steer its flows.

* Amounts are exact decimals, as text.
* Errors are `application/problem+json`: `detail` says what is wrong, `field` where, `hint` the way
  out.
* Commands take an `Idempotency-Key`: sent again with the same key they do nothing more.
* Where tokens were made (`cryptotools token new`), each request needs one.
"""

_TAGS = {
    "system": "How processes and flows are.",
    "symbols": "What is followed, and how complete it is.",
    "strategies": "Strategies, and the instances that run.",
    "data": "Klines, trades, signals and all else that is recorded.",
    "jobs": "Replays and back-tests.",
    "models": "Models, and which versions of them speak.",
    "live": "What comes, as it comes.",
}
_OWN_ERRORS = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> None:
    """Have an app describe itself like this."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI offers


def _description(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=_ABOUT,
        routes=app.routes,
        tags=[{"name": name, "description": about} for name, about in _TAGS.items()],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = found["components"]["schemas"]
    for name in _OWN_ERRORS:
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for methods in found["paths"].values():
        for operation in methods.values():
            responses = operation["responses"]
            responses.pop("422", None)
            responses["4XX"] = {
                "description": "What is wrong, and the way out.",
                "content": problem,
            }
            responses["5XX"] = {"description": "Redis or a flow is away.", "content": problem}
    return found
