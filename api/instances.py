"""Instances of strategies: which there are, and commands that change them."""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from api.audit import note
from api.control import Aim, Change, changes, flow_to_command, positions, send
from api.flows import Flow, read_flows
from api.idempotency import Answer
from api.problems import ProblemError, said_of
from api.services import Services
from client.control import Instance, InstanceAnswer, OnSymbol, Result, Spec
from core.control import InstanceCommand, Outcome
from core.market.errors import CryptoToolsError
from core.market.symbols import Instrument
from strategies.registry import REGISTRY
from strategies.spec import InstanceSpec, basket_key

_LOOK_S = 0.3
_LOOK_AGAIN_S = 0.03
_TOLD_S = 2.0


async def all_instances(own: Services) -> list[Instance]:
    """Return the instances of all flows, by name."""
    flows = await read_flows(own.bus)
    return [one for flow in flows.values() for one in instances_of(flow)]


def instances_of(flow: Flow) -> list[Instance]:
    """Return the instances of a flow, by name."""
    rows: dict[str, list[OnSymbol]] = {}
    for row in flow.instances:
        rows.setdefault(row["instance"], []).append(OnSymbol.model_validate(row))
    return [
        Instance(
            instance=one["instance"],
            flow=flow.name,
            version=one["version"],
            state=one["state"],
            configured=one["configured"],
            spec=Spec.model_validate(one["spec"]),
            symbols=tuple(rows.get(one["instance"], ())),
        )
        for one in flow.wanted
    ]


def find(instances: list[Instance], name: str) -> Instance:
    """Return the instance of a name; `ProblemError` 404 if there is none."""
    found = next((one for one in instances if one.instance == name), None)
    if found is None:
        known = " ".join(one.instance for one in instances[:20]) or "none"
        raise ProblemError(404, f"there is no instance `{name}`", hint=f"there are: {known}")
    return found


def checked(spec: Mapping[str, Any], instance: str) -> InstanceSpec:
    """Return a spec whose strategy and parameters there are.

    Raises:
        ProblemError: 422, with the field and the way out.

    """
    try:
        found = InstanceSpec.model_validate({**spec, "instance": instance})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "spec"
        raise ProblemError(422, said_of(dict(first)), field=field) from None
    try:
        params = REGISTRY.find(found.name).Params
        params.model_validate(found.params)
        REGISTRY.check(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(("params", *map(str, first["loc"])))
        raise ProblemError(422, said_of(dict(first)), field=field) from None
    except CryptoToolsError as error:
        text, _, hint = str(error).partition("\nhint: ")
        raise ProblemError(422, text, field="name", hint=hint) from None
    return found


async def command(own: Services, caller: str, told: InstanceCommand, to: Aim) -> Answer:
    """Send a command, wait for what becomes of it, and say that.

    Raises:
        ProblemError: 404, 409, 412 or 422 where it is refused; 503 where nobody can obey.

    """
    patience = own.patience(to.wait)
    until = time.monotonic() + patience
    flow = await flow_to_command(own, to.flow)
    before = next((one for one in instances_of(flow) if one.instance == told.instance), None)
    _check(told, before)
    keys = _concerned(flow, told, before)
    since = await positions(own, keys)
    outcomes = await send(own, told, flow.shards, patience)
    refused = [o.reason for o in outcomes if o.state == "refused"]
    heard = {o.subject for o in outcomes} >= set(flow.shards)
    made: list[Change] = []
    if heard and not refused:
        made, keys = await _carried_out(own, told, flow, keys, since, until)
        refused = [c.fields["detail"] for c in made if c.fields["state"] == "refused"]
    outcome = "refused" if refused else "applied" if _all_told(heard, made, keys) else "accepted"
    detail = refused[0] if refused else ""
    await note(own, caller, told.action, told.instance, command=told.id, outcome=outcome,
               detail=detail)  # fmt: skip
    if refused:
        raise _refusal(told, refused[0])
    if outcome == "accepted" and not heard:
        return _not_yet(told, outcomes)
    return await _answer(own, told, outcome, [*map(_of_shard, outcomes), *map(_of_key, made)])


async def _carried_out(
    own: Services, told: InstanceCommand, flow: Flow, keys: set[str], since: dict[str, str],
    until: float,
) -> tuple[list[Change], set[str]]:  # fmt: skip
    # A symbol that was left in the last second is still on the board, and its host says nothing.
    made: list[Change] = []
    while (left := keys - {change.key for change in made}) and time.monotonic() < until:
        made += await changes(own, since, told.id, left, min(until, time.monotonic() + _LOOK_S))
        if {change.key for change in made} < keys:
            now = (await read_flows(own.bus)).get(flow.name, flow)
            gone = {key for key in keys if key not in now.status.symbols and "~" not in key}
            keys -= gone
    return made, keys


def _check(told: InstanceCommand, before: Instance | None) -> None:
    if told.action != "add" and before is None:
        raise ProblemError(404, f"there is no instance `{told.instance}`")
    if before is not None and told.expected not in (None, before.version):
        why = f"it is at version {before.version} by now, not at {told.expected}"
        raise ProblemError(412, why, field="If-Match", hint="read it again, then decide")


def _concerned(flow: Flow, told: InstanceCommand, before: Instance | None) -> set[str]:
    # The instruments whose hosts will say what became of it. One that no data has come to yet has
    # no host.
    keys = set(flow.status.symbols)
    body = told.spec if told.action == "add" else before.spec.model_dump() if before else {}
    running = {one.key for one in before.symbols} if before else set()
    if body.get("legs"):
        spec = InstanceSpec.model_validate({**body, "instance": told.instance})
        return running | ({basket_key(min(keys), spec)} if keys else set())
    named = {symbol.upper() for symbol in body.get("symbols", ("*",))}
    named_keys = {k for k in keys if "*" in named or Instrument.from_key(k).symbol in named}
    if told.action in ("pause", "resume", "remove", "stop"):
        return running & keys or named_keys
    return named_keys | (running & keys)


def _all_told(heard: bool, made: list[Change], keys: Collection[str]) -> bool:
    return heard and {change.key for change in made} >= set(keys)


def _refusal(told: InstanceCommand, reason: str) -> ProblemError:
    text = reason.partition(": ")[2] or reason
    if "by now, not at" in text:
        return ProblemError(412, text, field="If-Match", hint="read it again, then decide")
    return ProblemError(409, text, hint=f"GET the instance `{told.instance}` and look at it")


def _not_yet(told: InstanceCommand, outcomes: list[Outcome]) -> Answer:
    results = list(map(_of_shard, outcomes))
    return Answer(InstanceAnswer(command=told.id, outcome="accepted", results=results), 202)


async def _answer(
    own: Services, told: InstanceCommand, outcome: str, results: list[Result]
) -> Answer:
    now = await _as_told(own, told)
    answer = InstanceAnswer(
        command=told.id,
        outcome="applied" if outcome == "applied" else "accepted",
        results=results,
        instance=None if told.action == "remove" else now,
    )
    status = (201 if told.action == "add" else 200) if outcome == "applied" else 202
    return Answer(answer, status, f'"{told.id}"')


async def _as_told(own: Services, told: InstanceCommand) -> Instance | None:
    # Who has an answer and asks again must see what was done: the flow tells of it at once, and
    # the board has it a moment later.
    until = time.monotonic() + _TOLD_S
    while True:
        found = await all_instances(own)
        now = next((one for one in found if one.instance == told.instance), None)
        done = now is None if told.action == "remove" else now and now.version == told.id
        if done or time.monotonic() > until:
            return now
        await asyncio.sleep(_LOOK_AGAIN_S)


def _of_shard(outcome: Outcome) -> Result:
    return Result(subject=outcome.subject, state=outcome.state, reason=outcome.reason)


def _of_key(change: Change) -> Result:
    fields = change.fields
    return Result(subject=change.key, state=fields["state"], reason=fields["detail"])
