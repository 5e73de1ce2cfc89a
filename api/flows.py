"""How flows are, by what they told the board in Redis."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis

from connectors.redis.keys import FLOWS
from dataflows.account import Row
from dataflows.status import Status, status_of

FORGOTTEN_S = 86_400.0
"""A process that was not heard of for a day is of the past."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as its processes and its supervisor tell of it.

    Attributes:
        name: Of the flow.
        status: How it is.
        instances: How each instance is on each symbol.
        wanted: Which instances are to run (`dataflows.account.wanted`).

    """

    name: str
    status: Status
    instances: tuple[Row, ...]
    wanted: tuple[Row, ...]

    @property
    def live(self) -> bool:
        """Whether anybody is there to obey."""
        return self.status.state in {"running", "starting", "restarting", "waiting"}

    @property
    def shards(self) -> tuple[str, ...]:
        """Names of the parts that answer commands, such as ``shard-0``."""
        keys = (key for row in self.status.processes.values() for key in row["links"])
        return tuple(sorted(key.partition(":")[2] for key in keys))

    @property
    def exchange(self) -> str:
        """The exchange of its keys."""
        rows = self.status.processes.values()
        return str(next((row["exchange"] for row in rows), "binance"))

    @property
    def intervals(self) -> tuple[str, ...]:
        """The intervals whose klines it builds, the shortest first."""
        rows = self.status.processes.values()
        return tuple(next((row.get("intervals", ()) for row in rows), ()))

    @property
    def following(self) -> tuple[str, ...]:
        """The symbols that it follows."""
        rows = self.status.processes.values()
        return tuple(sorted({symbol for row in rows for symbol in row["following"]}))


async def read_flows(bus: "Redis", now: float | None = None) -> dict[str, Flow]:
    """Return the flows that there are, by name."""
    fields: Any = await bus.hgetall(FLOWS)
    return flows_of(fields, time.time() if now is None else now)


def flows_of(fields: Mapping[str, str], now: float) -> dict[str, Flow]:
    """Return the flows of the board's fields."""
    parts: dict[str, dict[str, Row]] = {}
    for field, body in fields.items():
        flow, _, part = field.partition("/")
        row: Row = orjson.loads(body)
        if now - float(row.get("written", 0)) < FORGOTTEN_S:
            parts.setdefault(flow, {})[part] = row
    return {name: _flow(name, rows, now) for name, rows in sorted(parts.items())}


def _flow(name: str, parts: Mapping[str, Row], now: float) -> Flow:
    above = parts.get("supervisor")
    processes = {int(part): row for part, row in parts.items() if part.isdecimal()}
    if above is not None:  # one that had more processes once has left rows of those
        processes = {n: row for n, row in processes.items() if n < int(above["processes"])}
    told = [r for part, row in parts.items() if "/" in part for r in row["instances"]]
    wanted = {w["instance"]: w for row in processes.values() for w in row["wanted"]}
    return Flow(
        name,
        status_of(processes, above, now, lambda _pid: True),
        tuple(sorted(told, key=lambda r: (r["instance"], r["key"]))),
        tuple(wanted[one] for one in sorted(wanted)),
    )
