"""A request with an ``Idempotency-Key`` is carried out once, however often it is sent.

What was answered is kept in Redis for a day, so any replica gives the same answer again. The id of
its command is made of the key, so a flow that has obeyed it would do the same once more.

The header's rules follow the IETF draft "The Idempotency-Key HTTP Header Field": another request
with the same key is refused (422), one that is still being carried out too (409).
"""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from api.problems import MEDIA_TYPE, ProblemError, answer
from api.problems import of as problem_of
from api.services import Services, With
from core.market.errors import CryptoToolsError

_PREFIX = "md:~once:"
_KEPT_S = 86_400
_CARRIED_OUT_S = 120
"""A process that died meanwhile has not answered: after so long the request may come again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer."""

    body: BaseModel | None
    status: int = 200
    etag: str = ""


Act = Callable[[str], Awaitable[Answer]]
"""Carries a request out; given the id for its command."""


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is to be carried out once."""

    own: Services
    key: str
    fingerprint: str

    async def __call__(self, caller: str, act: Act) -> Response:
        """Return what is answered: anew, or as before.

        Raises:
            ProblemError: 422 the key was used for another request; 409 it is being carried out.

        """
        if not self.key:
            return _response(await act(uuid.uuid4().hex), replayed=False)
        own_id = sha256(f"{caller}\n{self.key}".encode()).hexdigest()[:32]
        name = _PREFIX + own_id
        kept = await self._begin(name)
        if kept is not None:
            return _as_before(kept)
        found = await self._carried_out(name, own_id, act)
        await self.own.bus.set(name, orjson.dumps(found), ex=_KEPT_S)
        return _as_before(found, replayed=False)

    async def _begin(self, name: str) -> dict[str, Any] | None:
        begun = orjson.dumps({"of": self.fingerprint})
        if await self.own.bus.set(name, begun, nx=True, ex=_CARRIED_OUT_S):
            return None
        text = await self.own.bus.get(name)
        kept: dict[str, Any] = orjson.loads(text) if text else {}
        if kept.get("of", self.fingerprint) != self.fingerprint:
            why = f"`{self.key}` was the key of another request"
            raise ProblemError(422, why, field="Idempotency-Key", hint="choose a new one")
        if "status" not in kept:
            hint = "ask again in a second"
            headers = {"Retry-After": "1"}
            raise ProblemError(409, "it is being carried out", hint=hint, headers=headers)
        return kept

    async def _carried_out(self, name: str, own_id: str, act: Act) -> dict[str, Any]:
        try:
            response = _response(await act(own_id), replayed=False)
        except (ProblemError, CryptoToolsError) as error:
            problem = error if isinstance(error, ProblemError) else problem_of(error)
            if problem.status >= 500 or problem.status in (409, 429):  # may be another next time
                await self.own.bus.delete(name)
                raise
            response = answer(problem)
        except BaseException:
            await self.own.bus.delete(name)
            raise
        return {
            "of": self.fingerprint,
            "status": response.status_code,
            "body": bytes(response.body).decode(),
            "type": response.headers.get("content-type", "application/json"),
            "etag": response.headers.get("etag", ""),
        }


async def _once(
    request: Request,
    own: With,
    idempotency_key: Annotated[
        str, Header(max_length=128, pattern=r"^[\x21-\x7e]*$", description="Chosen by the caller.")
    ] = "",
) -> Once:
    body = await request.body()
    said = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return Once(own, idempotency_key, sha256(said + body).hexdigest())


OnceOnly = Annotated[Once, Depends(_once)]
"""A route's parameter: ``return await once(caller.name, act)``."""


def _response(found: Answer, *, replayed: bool) -> Response:
    content = b"" if found.body is None else orjson.dumps(found.body.model_dump(mode="json"))
    media = "application/json" if content else None
    response = Response(content, found.status, media_type=media)
    _mark(response, found.etag, replayed=replayed)
    return response


def _as_before(kept: dict[str, Any], *, replayed: bool = True) -> Response:
    media = str(kept["type"]) if kept["body"] else None
    response = Response(kept["body"], kept["status"], media_type=media or MEDIA_TYPE)
    _mark(response, kept["etag"], replayed=replayed)
    return response


def _mark(response: Response, etag: str, *, replayed: bool) -> None:
    if etag:
        response.headers["ETag"] = etag
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
