"""Commands on their way: to the control stream, and back what became of them.

A command is an entry of the control stream; every part of a flow that it concerns answers on the
stream of outcomes. What strategies and models are told takes effect between two klines: their hosts
tell of it by an event of the instrument, which carries the command's id.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query

from api.flows import Flow, read_flows
from api.problems import ProblemError
from api.services import Services
from connectors.redis.keys import CONTROL, OUTCOMES, stream_key
from core.control import Command, Outcome

_BLOCK_MS = 500
_KEPT = 10_000

Entries = list[tuple[str, list[tuple[str, dict[str, str]]]]]


@dataclass(frozen=True)
class Aim:
    """Which flow is to obey, and how long its answer is waited for."""

    flow: Annotated[
        str, Query(max_length=63, description="Which flow; needed where several run.")
    ] = ""
    wait: Annotated[
        float | None, Query(ge=0, le=60, description="Seconds to wait for the outcome.")
    ] = None


To = Annotated[Aim, Depends()]
"""A route's parameter."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an instrument's host says became of a command."""

    key: str
    fields: Mapping[str, str]


async def flow_to_command(own: Services, name: str = "") -> Flow:
    """Return the flow that commands go to: the one of that name, or the only one.

    Raises:
        ProblemError: 404 there is none of that name; 503 none runs.

    """
    flows = await read_flows(own.bus)
    if name and name not in flows:
        raise ProblemError(404, f"there is no flow `{name}`", hint=f"there are: {' '.join(flows)}")
    live = [flow for flow in flows.values() if flow.live and name in ("", flow.name)]
    if not live:
        told = ", ".join(f"{flow.name} is {flow.status.state}" for flow in flows.values())
        why = "no flow runs that could obey" + (f" ({told})" if told else "")
        hint = "start one with `cryptotools up`"
        raise ProblemError(503, why, hint=hint, headers={"Retry-After": "5"})
    return live[0]


async def send(
    own: Services, command: Command, subjects: Collection[str], seconds: float
) -> list[Outcome]:
    """Send a command; return the outcomes that came in time, one to a subject at most."""
    last: Any = await own.bus.xrevrange(OUTCOMES, count=1)
    since = str(last[0][0]) if last else "0-0"
    body = command.model_dump_json(exclude_defaults=True)
    await own.bus.xadd(CONTROL, {"body": body}, maxlen=_KEPT, approximate=True)
    return await _outcomes(own, command.id, set(subjects), since, time.monotonic() + seconds)


async def positions(own: Services, keys: Collection[str]) -> dict[str, str]:
    """Return where the event streams of instruments end, for `changes`."""
    found: dict[str, str] = {}
    for key in keys:
        name = stream_key(key, "event")
        last: Any = await own.bus.xrevrange(name, count=1)
        found[name] = str(last[0][0]) if last else "0-0"
    return found


async def changes(
    own: Services, since: dict[str, str], command: str, wanted: Collection[str], until: float
) -> list[Change]:
    """Return what the hosts of the wanted instruments say of a command, as far as it comes in time.

    Args:
        own: The services.
        since: Where their event streams ended before; moved on.
        command: Id of the command.
        wanted: Keys of the instruments.
        until: When to give up, by the monotonic clock.

    """
    found: list[Change] = []
    open_ = {stream_key(key, "event"): key for key in wanted}
    while open_ and (left := until - time.monotonic()) > 0:
        streams: dict[Any, Any] = {name: since.get(name, "0-0") for name in open_}
        block = max(1, min(_BLOCK_MS, int(left * 1000)))
        answer: Any = await own.bus.xread(streams, block=block)
        told: Entries = answer or []
        for name, entries in told:
            since[name] = entries[-1][0]
            said = [f for _, f in entries if f.get("command") == command]
            found += [Change(open_[name], fields) for fields in said[:1]]
            if said:
                del open_[name]
    return found


async def _outcomes(
    own: Services, command: str, open_: set[str], since: str, until: float
) -> list[Outcome]:
    found: list[Outcome] = []
    while open_ and (left := until - time.monotonic()) > 0:
        block = max(1, min(_BLOCK_MS, int(left * 1000)))
        answer: Any = await own.bus.xread({OUTCOMES: since}, block=block)
        told: Entries = answer or []
        for _, entries in told:
            for entry, fields in entries:
                since = entry
                if fields.get("command") == command:
                    found.append(Outcome.model_validate(fields))
                    open_ -= {found[-1].subject} if found[-1].subject else set(open_)
    return found
