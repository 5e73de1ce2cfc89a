"""How a flow is, read from its heartbeats: for `cryptotools status`, people and scripts."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from dataflows.account import Row
from dataflows.claim import alive
from dataflows.heartbeat import SUPERVISOR, instances_file, status_folder

STALE_S = 5.0
_LOW_DISK = 1 << 30
_LAG_S = 10.0
_SUPERVISED = {"restarting", "stopping", "waiting"}
"""States that only the supervisor knows."""


@dataclass(frozen=True, slots=True)
class Status:
    """A flow as it stands.

    Attributes:
        state: ``running``, ``starting``, ``stopping``, ``restarting``, ``waiting`` (for space on
            a disk), ``failed``, ``frozen`` (alive, but silent), ``dead`` (it did not say
            good-bye), ``stopped``, or ``none``: nothing was ever here.
        troubles: What keeps it from being well, in words.
        processes: Heartbeats by process number.
        symbols: By instrument: last_id and last_time (None before the first trade), known_until,
            lag_s, gaps_open.
        rows: Totals over the processes.
        supervisor: The supervisor's own account; None: there is none.

    """

    state: str
    troubles: tuple[str, ...] = ()
    age_s: float | None = None
    processes: Mapping[int, Row] = field(default_factory=dict)
    symbols: Mapping[str, Row] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, int] = field(default_factory=dict)
    gaps_open: int = 0
    backlog_rows: int = 0
    rss_bytes: int = 0
    supervisor: Row | None = None

    @property
    def well(self) -> bool:
        """Whether it runs and nothing is wrong."""
        return self.state == "running" and not self.troubles

    @property
    def restarts(self) -> int:
        """How often the supervisor had to start it again."""
        return int(self.supervisor["restarts"]) if self.supervisor else 0

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        processes = {str(n): row for n, row in self.processes.items()}
        more = {"well": self.well, "restarts": self.restarts, "processes": processes}
        return asdict(self) | more


def read_status(state_dir: Path, now: float | None = None) -> Status:
    """Return how the flow of a state folder is; `now` is in seconds since the epoch."""
    at = time.time() if now is None else now
    return status_of(heartbeats(state_dir), _supervisor(state_dir), at, alive)


def status_of(
    processes: Mapping[int, Row], above: Row | None, at: float, alive: Callable[[int], bool]
) -> Status:
    """Return how a flow is.

    Args:
        processes: Heartbeats by process.
        above: The supervisor's account, if there is one.
        at: The time now, in seconds since the epoch.
        alive: Says whether the process of an id lives; of another machine nobody can tell: True.

    """
    rows = dict(sorted(processes.items()))
    if not rows and above is None:
        return Status("none")
    state = _State(at, alive).of(rows, above)
    symbols = {key: one for row in rows.values() for key, one in row["symbols"].items()}
    links = {key: n for row in rows.values() for key, n in row["links"].items()}
    written = [row["written"] for row in (*rows.values(), *([above] if above else []))]
    return Status(
        state=state,
        troubles=_wrong(state, above, rows, symbols, links),
        age_s=round(max(0.0, at - max(written)), 1),
        processes=rows,
        symbols=dict(sorted(symbols.items())),
        rows=_sum(row["rows"] for row in rows.values()),
        links=links,
        gaps_open=sum(one["gaps_open"] for one in symbols.values()),
        backlog_rows=sum((row["redis"] or {}).get("backlog_rows", 0) for row in rows.values()),
        rss_bytes=sum(row["rss_bytes"] for row in rows.values()),
        supervisor=above,
    )


def heartbeats(state_dir: Path) -> dict[int, Row]:
    """Return the heartbeats that are there, by process; unreadable ones are left out."""
    found: dict[int, Row] = {}
    for path in status_folder(state_dir).glob("[0-9]*.json"):
        try:
            found[int(path.stem)] = orjson.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
    return found


def read_instances(state_dir: Path) -> list[Row]:
    """Return how each instance of a strategy is on each symbol, as told last."""
    found: list[Row] = []
    for process in heartbeats(state_dir):
        try:
            found += orjson.loads(instances_file(state_dir, process).read_bytes())["instances"]
        except (OSError, ValueError):
            continue
    return sorted(found, key=lambda row: (row["instance"], row["key"]))


@dataclass(frozen=True, slots=True)
class _State:
    now: float
    alive: Callable[[int], bool]

    def of(self, rows: Mapping[int, Row], above: Row | None) -> str:
        watched = above is not None and above["state"] != "stopped" and self._fresh(above)
        if above is not None and watched and above["state"] in _SUPERVISED:
            return str(above["state"])
        wanted = int(above["processes"]) if above is not None and watched else 1
        if len(rows) < wanted:
            return "starting" if watched else "dead"
        states = [self._one(row) for row in rows.values()]
        if watched and set(states) & {"dead", "stopped"}:
            return "restarting"
        order = ("dead", "frozen", "failed", "stopping", "starting", "stopped")
        return next((state for state in order if state in states), "running")

    def _one(self, row: Row) -> str:
        state = str(row["state"])
        if state in {"stopped", "failed"}:
            return state
        if not self.alive(int(row["pid"])):
            return "dead"
        return state if self._fresh(row) else "frozen"

    def _fresh(self, row: Row) -> bool:
        return self.alive(int(row["pid"])) and self.now - float(row["written"]) < STALE_S


def _wrong(
    state: str,
    above: Row | None,
    rows: Mapping[int, Row],
    symbols: Mapping[str, Row],
    links: Mapping[str, int],
) -> tuple[str, ...]:
    if state == "waiting" and above is not None:
        return (str(above["waits_for"]),)
    return tuple(_troubles(rows, symbols, links)) if state == "running" else ()


def _troubles(
    rows: Mapping[int, Row], symbols: Mapping[str, Row], links: Mapping[str, int]
) -> list[str]:
    found = [f"{shard} is not connected" for shard, n in links.items() if not n]
    if not links:
        found.append("not connected yet")
    for key, one in symbols.items():
        if one["lag_s"] > _LAG_S:
            found.append(f"{key} is {one['lag_s']:.0f} s behind")
    for row in rows.values():
        redis, disk = row["redis"] or {}, row["disk"]
        if redis.get("away_s"):
            found.append(f"redis has taken no rows for {redis['away_s']:.0f} s")
        if "error" in disk:
            found.append(f"disk of {disk['path']}: {disk['error']}")
        elif disk["free_bytes"] < _LOW_DISK:
            found.append(f"disk of {disk['path']} has {disk['free_bytes'] >> 20} MiB left")
    return list(dict.fromkeys(found))


def _supervisor(state_dir: Path) -> Row | None:
    try:
        row: Row = orjson.loads((status_folder(state_dir) / SUPERVISOR).read_bytes())
    except (OSError, ValueError):
        return None
    return row


def _sum(rows: Any) -> dict[str, int]:  # noqa: ANN401 - rows of counts
    total: dict[str, int] = {}
    for row in rows:
        for name, count in row.items():
            total[name] = total.get(name, 0) + int(count)
    return total
