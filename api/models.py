"""Commands about models: which versions are to speak."""

import time

from anyio import to_thread

from api.audit import note
from api.control import Aim, Change, changes, flow_to_command, positions, send
from api.data.models import models_of
from api.flows import Flow
from api.idempotency import Answer
from api.problems import ProblemError
from api.services import Services
from client.ml import ModelItem, ModelOutcome, ModelResult
from core.control import ModelCommand, Outcome
from dataflows.ml_registry import ModelRegistry
from strategies.ml.config import NONE


async def find(own: Services, name: str) -> ModelItem:
    """Return what is known of a model; `ProblemError` 404 if there is none of that name."""
    found = await models_of(own)
    for item in found:
        if item.name == name:
            return item
    hint = f"there are {' '.join(item.name for item in found)}" if found else "train one"
    raise ProblemError(404, f"there is no model `{name}`", field="name", hint=hint)


async def command(own: Services, caller: str, told: ModelCommand, to: Aim) -> Answer:
    """Send a command, wait for what becomes of it, and say that.

    Raises:
        ProblemError: 409 or 422 where it is refused; 503 where nobody can obey.

    """
    registry = ModelRegistry(own.settings.ml.registry)
    version = await to_thread.run_sync(_resolved, registry, told)
    told = told.model_copy(update={"version": version})
    patience = own.patience(to.wait)
    until = time.monotonic() + patience
    flow = await flow_to_command(own, to.flow)
    keys = _keys(own, flow, told.model)
    since = await positions(own, keys)
    outcomes = await send(own, told, flow.shards, patience)
    refused = [o.reason for o in outcomes if o.state == "refused"]
    heard = {o.subject for o in outcomes} >= set(flow.shards)
    made = await changes(own, since, told.id, keys, until) if heard and not refused else []
    refused += [change.fields["detail"] for change in made if change.fields["state"] == "refused"]
    applied = heard and {change.key for change in made} >= set(keys)
    outcome = "refused" if refused else "applied" if applied else "accepted"
    await note(own, caller, told.action, told.model, command=told.id, outcome=outcome,
               detail=refused[0] if refused else version)  # fmt: skip
    if refused:
        raise ProblemError(409, refused[0], field="version")
    if heard and told.action == "promote":  # what the flow has taken holds after a restart too
        await to_thread.run_sync(registry.promote, told.model, version)
    body = ModelOutcome(
        command=told.id,
        outcome="applied" if applied else "accepted",
        results=[*map(_of_shard, outcomes), *map(_of_key, made)],
        model=await find(own, told.model),
    )
    return Answer(body, 200 if applied else 202)


def _resolved(registry: ModelRegistry, told: ModelCommand) -> str:
    if told.action != "promote" and told.version == NONE:
        raise ProblemError(422, "name a version", field="version")
    whole = registry.resolve(told.model, told.version)
    if whole:
        registry.manifest(told.model, whole)  # what cannot be read is found before it is sent
    return whole


def _keys(own: Services, flow: Flow, name: str) -> set[str]:
    spec = next((one for one in own.settings.ml.models if one.name == name), None)
    return {key for key in flow.status.symbols if spec is None or spec.applies_to(key)}


def _of_shard(outcome: Outcome) -> ModelResult:
    return ModelResult(**outcome.model_dump(exclude={"command"}))


def _of_key(change: Change) -> ModelResult:
    fields = change.fields
    return ModelResult(subject=change.key, state=fields["state"], reason=fields["detail"])
