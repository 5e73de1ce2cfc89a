"""Instances of strategies: see them, run more, change them while they run.

Each answer has the instance's version as its ``ETag``. A change with ``If-Match`` is refused (412)
where somebody else has changed the instance since.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Response

from api.control import To
from api.idempotency import Answer, OnceOnly
from api.instances import all_instances, checked, command, find
from api.security.guard import Controller, Reader
from api.services import With
from client.control import Change, Instance, InstanceAnswer, NewInstance
from core.control import InstanceCommand

router = APIRouter(prefix="/instances", tags=["strategies"])

Name = Annotated[
    str, Path(min_length=1, max_length=64, examples=["rsi_reversal"], description="Of the instance")
]
IfMatch = Annotated[
    str, Header(max_length=80, description="The ETag that was seen; * or none: whatever it is.")
]
Verb = Literal["start", "stop", "pause", "resume"]


@router.get("")
async def list_instances(own: With, _caller: Reader) -> list[Instance]:
    """List the instances, and how each is on each symbol."""
    return await all_instances(own)


@router.get("/{instance}")
async def get_instance(own: With, _caller: Reader, instance: Name, response: Response) -> Instance:
    """Say what an instance is, and how it is on each symbol."""
    found = find(await all_instances(own), instance)
    response.headers["ETag"] = f'"{found.version}"'
    return found


@router.post("", response_model=InstanceAnswer, status_code=201)
async def create_instance(
    own: With,
    caller: Controller,
    once: OnceOnly,
    to: To,
    body: NewInstance,
) -> Response:
    """Run an instance from now on, warmed up as if it had run from the start."""

    async def act(id_: str) -> Answer:
        name = body.instance or body.name
        spec = body.model_dump(mode="json", exclude={"instance"})
        checked(spec, name)
        told = InstanceCommand(id=id_, action="add", instance=name, spec=spec)
        return await command(own, caller.name, told, to)

    return await once(caller.name, act)


@router.patch("/{instance}", response_model=InstanceAnswer)
async def change_instance(
    own: With,
    caller: Controller,
    once: OnceOnly,
    to: To,
    instance: Name,
    body: Change,
    if_match: IfMatch = "*",
) -> Response:
    """Give an instance other parameters, and its file as it is now; the rest stays as it is."""

    async def act(id_: str) -> Answer:
        now = find(await all_instances(own), instance)
        spec = now.spec.model_dump(mode="json")
        checked(spec | {"params": spec["params"] | body.params}, instance)
        told = InstanceCommand(
            id=id_, action="update", instance=instance, params=body.params,
            expected=_expected(if_match),
        )  # fmt: skip
        return await command(own, caller.name, told, to)

    return await once(caller.name, act)


@router.post("/{instance}/{verb}", response_model=InstanceAnswer)
async def put_instance(
    own: With,
    caller: Controller,
    once: OnceOnly,
    to: To,
    instance: Name,
    verb: Verb,
    if_match: IfMatch = "*",
) -> Response:
    """Pause (it watches and says nothing), resume, stop (it ends, kept in mind) or start."""

    async def act(id_: str) -> Answer:
        told = InstanceCommand(id=id_, action=verb, instance=instance, expected=_expected(if_match))
        return await command(own, caller.name, told, to)

    return await once(caller.name, act)


@router.delete("/{instance}", response_model=InstanceAnswer)
async def remove_instance(
    own: With,
    caller: Controller,
    once: OnceOnly,
    to: To,
    instance: Name,
    if_match: IfMatch = "*",
) -> Response:
    """End an instance; what it said stays."""

    async def act(id_: str) -> Answer:
        told = InstanceCommand(
            id=id_, action="remove", instance=instance, expected=_expected(if_match)
        )
        return await command(own, caller.name, told, to)

    return await once(caller.name, act)


def _expected(if_match: str) -> str | None:
    said = if_match.strip()
    return None if said == "*" else said.removeprefix("W/").strip('"')
