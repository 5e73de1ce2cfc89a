"""The client: one method per route, answers as models, errors as `ApiError`.

with Client("http://127.0.0.1:8000", token) as api:
api.subscribe("ETHUSDT")
for one in api.instances():
print(one.instance, one.state)
"""

import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

import httpx
import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from client.control import (
    AuditEntry,
    Change,
    Instance,
    InstanceAnswer,
    Listing,
    NewInstance,
    Session,
    StrategyKind,
    Symbol,
    SymbolsAnswer,
    SymbolsChange,
)
from client.errors import ApiError
from client.ml import Action, ModelItem, ModelOutcome, Models, VersionRequest
from client.models import FlowStatus, Problem, Version

T = TypeVar("T")

V1 = "/api/v1"
_SLACK_S = 20.0


class Client:
    """Talks to an API.

    Args:
        url: Where it is.
        token: What it is shown; empty: none.
        transport: Another way than over a network, for a server in the same process.
        wait: Seconds that a command may take; None: what the server thinks right.

    Every method raises `ApiError` where the API refuses, or cannot be reached.

    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str = "",
        *,
        transport: httpx.BaseTransport | None = None,
        wait: float | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._wait = wait
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            transport=transport,
            timeout=httpx.Timeout((wait or 0.0) + _SLACK_S, connect=5.0),
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    # ---- system ----

    def version(self) -> Version:
        """Return what runs."""
        return self._get("/version", Version)

    def session(self) -> Session:
        """Return who we are, and what we may."""
        return self._get(f"{V1}/session", Session)

    def status(self) -> dict[str, FlowStatus]:
        """Return how flows are, by name."""
        return self._get("/status", dict[str, FlowStatus])

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        """Return the newest commands, newest first."""
        return self._get(f"{V1}/audit", list[AuditEntry], limit=limit)

    # ---- symbols ----

    def symbols(self) -> list[Symbol]:
        """Return the symbols that are followed."""
        return self._get(f"{V1}/symbols", list[Symbol])

    def search(self, query: str, limit: int = 50) -> list[Listing]:
        """Return symbols of the exchange that fit, best matches first."""
        return self._get(f"{V1}/symbols/search", list[Listing], q=query, limit=limit)

    def subscribe(self, *symbols: str) -> SymbolsAnswer:
        """Follow more symbols."""
        return self._post(f"{V1}/symbols", SymbolsAnswer, SymbolsChange(symbols=symbols))

    def unsubscribe(self, symbol: str) -> SymbolsAnswer:
        """Follow a symbol no more."""
        return self._command("DELETE", f"{V1}/symbols/{symbol}", SymbolsAnswer)

    # ---- strategies ----

    def strategies(self) -> list[StrategyKind]:
        """Return the strategies that there are."""
        return self._get(f"{V1}/strategies", list[StrategyKind])

    def strategy(self, name: str) -> StrategyKind:
        """Return one of them."""
        return self._get(f"{V1}/strategies/{name}", StrategyKind)

    def instances(self) -> list[Instance]:
        """Return the instances."""
        return self._get(f"{V1}/instances", list[Instance])

    def instance(self, name: str) -> Instance:
        """Return one of them."""
        return self._get(f"{V1}/instances/{name}", Instance)

    def add(self, new: NewInstance) -> InstanceAnswer:
        """Run an instance from now on."""
        return self._post(f"{V1}/instances", InstanceAnswer, new)

    def update(self, name: str, params: Mapping[str, Any], *, version: str = "") -> InstanceAnswer:
        """Give an instance other parameters; with a `version`, only if it is still at that."""
        body = Change(params=dict(params))
        headers = {"If-Match": f'"{version}"'} if version else {}
        return self._command("PATCH", f"{V1}/instances/{name}", InstanceAnswer, body, headers)

    def put(self, name: str, verb: str) -> InstanceAnswer:
        """Start, stop, pause or resume an instance."""
        return self._command("POST", f"{V1}/instances/{name}/{verb}", InstanceAnswer)

    def remove(self, name: str) -> InstanceAnswer:
        """End an instance."""
        return self._command("DELETE", f"{V1}/instances/{name}", InstanceAnswer)

    # ---- models ----

    def models(self) -> list[ModelItem]:
        """Return the models of the registry and of the settings."""
        return self._get(f"{V1}/models", Models).items

    def tell_model(self, name: str, action: Action, version: str) -> ModelOutcome:
        """Promote, shadow or unshadow a version; its first characters will do."""
        body = VersionRequest(version=version)
        return self._post(f"{V1}/models/{name}/{action}", ModelOutcome, body)

    # ---- how ----

    def _get(self, path: str, of: type[T], **params: object) -> T:
        given: Any = params
        return self._read(self._ask("GET", path, params=given), of)

    def _post(self, path: str, of: type[T], body: BaseModel) -> T:
        return self._command("POST", path, of, body)

    def _command(
        self,
        method: str,
        path: str,
        of: type[T],
        body: BaseModel | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        content = b"" if body is None else orjson.dumps(body.model_dump(mode="json"))
        params = {} if self._wait is None else {"wait": self._wait}
        said = {"Idempotency-Key": uuid.uuid4().hex, **(headers or {})}
        if content:
            said["Content-Type"] = "application/json"
        answer = self._ask(method, path, params=params, content=content, headers=said)
        return self._read(answer, of)

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - of httpx
        try:
            answer = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            why = f"{self._http.base_url}: {error or type(error).__name__}"
            hint = "does it run (`cryptotools api`)?"
            problem = Problem(title="not reached", status=503, detail=why, hint=hint)
            raise ApiError(problem) from None
        if answer.is_error:
            raise ApiError(_problem(answer))
        return answer

    def _read(self, answer: httpx.Response, of: type[T]) -> T:
        try:
            return TypeAdapter(of).validate_json(answer.content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            why = f"{answer.request.url.path} gave something else: {where}: {first['msg']}"
            hint = "is it an API of another version?"
            raise ApiError(
                Problem(title="not understood", status=502, detail=why, hint=hint)
            ) from None


def _problem(answer: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(answer.content)
    except ValidationError:
        return Problem(title=answer.reason_phrase, status=max(400, min(599, answer.status_code)))
