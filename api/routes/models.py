"""Models: what there is, which version speaks, and how to change that."""

import asyncio
import time
from typing import Annotated, Any, Literal
from uuid import uuid4

from anyio import to_thread
from fastapi import APIRouter, Header, Path

from api import models_control
from api.data.models import models_of
from api.data.tail import explained
from api.flows import Flow, read_flows
from api.problems import ProblemError
from api.security.guard import Controller, Reader
from api.services import Services, With
from client.ml import ModelItem, ModelOutcome, ModelResult, Models, VersionRequest
from connectors.redis.keys import stream_key
from core.control import ModelCommand, Outcome
from core.market.errors import ServiceError
from dataflows.ml_registry import ModelRegistry
from strategies.ml.config import NONE

router = APIRouter(tags=["models"])

_POLL_S = 0.05
_AFTER_S = 2.0
"""How long the instruments have once the flow passed a command on: each waits for its kline."""

Name = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="Of the model.", examples=["up"])
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\w.:-]{1,64}$",
        description="Id of the command: the same again does nothing twice.",
    ),
]
Action = Literal["promote", "shadow", "unshadow"]


@router.get("/models", summary="List models")
async def models(own: With, _caller: Reader) -> Models:
    """List models: their versions, how good they were, and which speak where."""
    return Models(items=await models_of(own))


@router.get("/models/{name}", summary="A model")
async def model(name: Name, own: With, _caller: Reader) -> ModelItem:
    """Give what is known of a model."""
    return await _existing(own, name)


@router.post("/models/{name}/promote", summary="Promote a version")
async def promote(
    name: Name, body: VersionRequest, own: With, _caller: Controller, key: Key = None
) -> ModelOutcome:
    """Have a version's predictions count from the next kline on, and after every restart."""
    return await _command(own, "promote", name, body, key)


@router.post("/models/{name}/shadow", summary="Score a version")
async def shadow(
    name: Name, body: VersionRequest, own: With, _caller: Controller, key: Key = None
) -> ModelOutcome:
    """Score a version beside the one that counts; no strategy sees it."""
    return await _command(own, "shadow", name, body, key)


@router.post("/models/{name}/unshadow", summary="Score a version no longer")
async def unshadow(
    name: Name, body: VersionRequest, own: With, _caller: Controller, key: Key = None
) -> ModelOutcome:
    """Score a version no longer."""
    return await _command(own, "unshadow", name, body, key)


async def _existing(own: Services, name: str) -> ModelItem:
    found = await models_of(own)
    for item in found:
        if item.name == name:
            return item
    hint = f"there are {' '.join(item.name for item in found)}" if found else "train one"
    raise ProblemError(404, f"there is no model `{name}`", field="name", hint=hint)


async def _command(
    own: Services, action: Action, name: str, body: VersionRequest, key: str | None
) -> ModelOutcome:
    await _existing(own, name)
    registry = ModelRegistry(own.settings.ml.registry)
    version = await to_thread.run_sync(_resolved, registry, action, name, body.version)
    flows = await _flows(own)
    command = ModelCommand(id=key or uuid4().hex, action=action, model=name, version=version)
    keys = _keys(own, flows, name)
    since = {one: await _last(own, one) for one in keys}
    shards = sorted({shard for flow in flows for shard in flow.shards})
    seconds = own.settings.api.command_seconds
    outcomes = await models_control.SEND(own, command, shards, seconds)
    _check(outcomes, shards, seconds)
    said = await _changes(own, since, command.id)
    refused = [one.reason for one in said if one.state == "refused"]
    if refused:
        raise ProblemError(409, refused[0], field="version")
    if action == "promote":
        await to_thread.run_sync(registry.promote, name, version)
    passed = [ModelResult(**one.model_dump(exclude={"command"})) for one in outcomes]
    done = keys and {one.subject for one in said} >= set(keys)
    return ModelOutcome(
        command=command.id,
        outcome="applied" if done else "accepted",
        results=[*passed, *said],
        model=await _existing(own, name),
    )


def _resolved(registry: ModelRegistry, action: Action, name: str, version: str) -> str:
    if action != "promote" and version == NONE:
        raise ProblemError(422, "name a version", field="version")
    whole = registry.resolve(name, version)
    if whole:
        registry.manifest(name, whole)  # what cannot be read is found before anything is sent
    return whole


async def _flows(own: Services) -> list[Flow]:
    async with explained():
        found = await read_flows(own.bus)
    live = [flow for flow in found.values() if flow.live and flow.shards]
    if not live:
        hint = "start one, or `cryptotools ml promote --offline` for the next one"
        raise ServiceError("flow", "none runs that could obey", hint=hint)
    return live


def _keys(own: Services, flows: list[Flow], name: str) -> list[str]:
    spec = next((one for one in own.settings.ml.models if one.name == name), None)
    every = sorted({key for flow in flows for key in flow.status.symbols})
    return [key for key in every if spec is None or spec.applies_to(key)]


def _check(outcomes: list[Outcome], shards: list[str], seconds: float) -> None:
    refused = [one.reason for one in outcomes if one.state == "refused"]
    if refused:
        raise ProblemError(409, refused[0], field="version")
    if len({one.subject for one in outcomes} & set(shards)) < len(shards):
        why = f"{len(outcomes)} of {len(shards)} shards have answered within {seconds:g} s"
        hint = "the command waits for it: look again at GET /api/v1/models"
        raise ServiceError("flow", why, hint=hint)


async def _last(own: Services, key: str) -> str:
    async with explained():
        rows: Any = await own.bus.xrevrange(stream_key(key, "event"), count=1)
    return str(rows[0][0]) if rows else "0-0"


async def _changes(own: Services, since: dict[str, str], command: str) -> list[ModelResult]:
    # Each stream by itself: in a cluster they are on several servers.
    found: list[ModelResult] = []
    until = time.monotonic() + _AFTER_S
    while since and time.monotonic() < until:
        for key in list(since):
            async with explained():
                name = stream_key(key, "event")
                rows: Any = await own.bus.xrange(name, min=f"({since[key]}", count=100)
            for entry, fields in rows:
                since[key] = str(entry)
                if fields.get("command") == command:
                    state, why = fields.get("state", ""), fields.get("detail", "")
                    found.append(ModelResult(subject=key, state=state, reason=why))
        for one in found:
            since.pop(one.subject, None)
        if since:
            await asyncio.sleep(_POLL_S)
    return found
