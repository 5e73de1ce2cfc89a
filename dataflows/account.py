"""What a live flow tells of itself: its symbols, links, instances, counters, disk and memory.

Plain values, made from what passed through the flow (`Pulse`) and the process's metrics. The
heartbeat writes it to the state folder and to Redis.
"""

import os
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.settings import Settings
from connectors.shutdown import FIRST, STOP
from core.control import CONFIGURED, addressee
from dataflows.pulse import Pulse
from dataflows.rates import Rates
from strategies.spec import InstanceSpec, Wanted
from telemetry import metrics

Row = dict[str, Any]


def account_of(settings: Settings, pulse: Pulse, now: float, rates: Rates | None = None) -> Row:
    """Return how the flow of this process is.

    Args:
        settings: Of the flow.
        pulse: What passed through it.
        now: Seconds since the epoch.
        rates: What happened in the last seconds; None: nobody looked.

    """
    rates = rates or Rates()
    return {
        "flow": settings.name,
        "exchange": settings.binance.place.exchange,
        "intervals": list(settings.klines.intervals),
        "pid": os.getpid(),
        "version": version("cryptotools"),
        "turns": pulse.turns,
        "snapshots": pulse.snapshots,
        "state": _state(pulse),
        "following": _following(settings, pulse),
        "symbols": _symbols(settings, pulse, now),
        "links": _links(pulse),
        "connections": _connections(pulse, now, rates),
        "latency_ms": rates.latency(),
        "wanted": wanted(settings.strategies, pulse),
        "rows": _rows(),
        "books": dict(pulse.books),
        "gaps_permanent": metrics.total(metrics.GAPS, state="permanent"),
        "redis": _redis(now),
        "disk": _disk(settings.lake.path),
        "rss_bytes": rss_bytes(),
    }


def instances_of(pulse: Pulse) -> list[Row]:
    """Return how each instance of a strategy is on each symbol of this process."""
    return [{"key": key, **row} for key, host in list(pulse.hosts.items()) for row in host.status()]


def wanted(configured: tuple[InstanceSpec, ...], pulse: Pulse) -> list[Row]:
    """Return which instances are to run: those of the settings, and what commands made of them.

    ``instance version state configured spec``; `version` is the id of the command that changed it
    last, ``settings`` where none did.
    """
    rows = {spec.instance: _wanted_row(Wanted(spec=spec), configured=True) for spec in configured}
    names = {spec.instance for spec in configured}
    for told in list(pulse.told.values()):
        for name, payload in list(told.items()):
            try:
                said = Wanted.model_validate_json(payload) if _for_strategies(payload) else None
            except ValidationError:
                continue  # of another version; the host tells of it
            if said is not None:
                rows[name] = _wanted_row(said, configured=name in names)
    return [rows[name] for name in sorted(rows) if rows[name]["state"] != "removed"]


def rss_bytes() -> int:
    """Return this process's resident memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def iso(seconds: float) -> str:
    """Return a time since the epoch as text, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _wanted_row(said: Wanted, *, configured: bool) -> Row:
    return {
        "instance": said.spec.instance,
        "version": said.command or CONFIGURED,
        "state": "stopped" if said.stopped else said.state,
        "configured": configured,
        "spec": said.spec.model_dump(mode="json", exclude={"instance"}),
    }


def _for_strategies(payload: str) -> bool:
    return addressee(payload) == "strategies"


def _state(pulse: Pulse) -> str:
    if FIRST.error is not None:
        return "failed"
    if STOP.is_set():
        return "stopping"
    return "running" if pulse.turns else "starting"


def _following(settings: Settings, pulse: Pulse) -> list[str]:
    said = list(pulse.following.values())
    return sorted(set().union(*said)) if said else list(settings.symbols)


def _links(pulse: Pulse) -> dict[str, int]:
    idle = {shard for shard, symbols in list(pulse.following.items()) if not symbols}
    return {
        shard: len(links)
        for shard, links in list(pulse.links.items())
        if links or shard not in idle  # one without symbols has nobody to listen to
    }


def _connections(pulse: Pulse, now: float, rates: Rates) -> list[Row]:
    found: list[Row] = []
    skew = _skew(pulse)
    for shard, links in list(pulse.links.items()):
        rotate_s = pulse.rotate_us.get(shard, 0) / 1e6
        for link, opened_us in list(links.items()):
            age = max(0.0, now + skew - opened_us / 1e6)
            found.append(
                {
                    "shard": shard,
                    "link": link,
                    "symbols": len(pulse.following.get(shard, ())),
                    "opened": iso(opened_us / 1e6),
                    "age_s": round(age, 1),
                    "rotates_in_s": round(max(0.0, rotate_s - age), 1) if rotate_s else None,
                    "msgs_s": rates.messages(shard, link),
                }
            )
    return found


def _symbols(settings: Settings, pulse: Pulse, now: float) -> Row:
    found: Row = {}
    skew, following = _skew(pulse), set(_following(settings, pulse))
    for key in sorted({*list(pulse.newest), *list(pulse.clocks)}):
        if key.partition(":")[2] not in following:
            continue  # not any more
        trades = pulse.newest.get(key)
        traded_us = int(trades.time_us[-1]) if trades is not None else 0
        known_us = max(traded_us, pulse.clocks.get(key, 0))
        found[key] = {
            "last_id": int(trades.id[-1]) if trades is not None else None,
            "last_time": iso(traded_us / 1e6) if trades is not None else None,
            "known_until": iso(known_us / 1e6),
            "lag_s": round(max(0.0, now + skew - known_us / 1e6), 3),
            "gaps_open": pulse.open_holes(key),
        }
    return found


def _skew(pulse: Pulse) -> float:
    (measured,) = (s.value for f in metrics.CLOCK_SKEW.collect() for s in f.samples)
    return measured or (pulse.skew_us or 0) / 1e6


def _rows() -> dict[str, int]:
    total = metrics.total
    return {
        "received": total(metrics.RECEIVED),
        "accepted": total(metrics.ACCEPTED),
        "duplicate": total(metrics.DUPLICATE),
        "rejected": total(metrics.REJECTED),
        "repaired": total(metrics.REPAIRED),
        "stored": total(metrics.STORED, kind="trades"),
    }


def _redis(now: float) -> Row | None:
    backlog = metrics.values(metrics.BACKLOG)
    if not backlog:
        return None
    away = [since for since in metrics.values(metrics.AWAY_SINCE).values() if since]
    return {
        "backlog_rows": int(sum(backlog.values())),
        "away_s": round(now - min(away), 1) if away else 0.0,
        "blocked": any(metrics.values(metrics.BLOCKED).values()),
    }


def _disk(path: Path) -> Row:
    try:
        found = shutil.disk_usage(path)
    except OSError as error:
        return {"path": str(path), "error": str(error.strerror)}
    return {"path": str(path), "free_bytes": found.free, "total_bytes": found.total}
