"""Models: what there is, which version speaks, and how to change that."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response

from api.control import To
from api.data.models import models_of
from api.idempotency import Answer, OnceOnly
from api.models import command, find
from api.security.guard import Controller, Reader
from api.services import With
from client.ml import ModelItem, ModelOutcome, Models, VersionRequest
from core.control import ModelCommand

router = APIRouter(prefix="/models", tags=["models"])

Name = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="Of the model.", examples=["up"])
]
Action = Literal["promote", "shadow", "unshadow"]


@router.get("", summary="List models")
async def models(own: With, _caller: Reader) -> Models:
    """List models: their versions, how good they were, and which speak where."""
    return Models(items=await models_of(own))


@router.get("/{name}", summary="A model")
async def model(name: Name, own: With, _caller: Reader) -> ModelItem:
    """Give what is known of a model."""
    return await find(own, name)


@router.post("/{name}/{action}", response_model=ModelOutcome, summary="Let a version speak")
async def put_model(
    name: Name,
    action: Action,
    body: VersionRequest,
    own: With,
    caller: Controller,
    once: OnceOnly,
    to: To,
) -> Response:
    """Promote, shadow or unshadow a version.

    Promoted: its predictions count from the next kline on, and after every restart. Shadowed: it is
    scored beside the one that counts, and no strategy sees it.
    """

    async def act(id_: str) -> Answer:
        await find(own, name)
        # What names a version here may be short; the flow is told all of it.
        told = ModelCommand.model_construct(id=id_, action=action, model=name, version=body.version)
        return await command(own, caller.name, told, to)

    return await once(caller.name, act)
