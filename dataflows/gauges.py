"""Metrics that are set from a flow's account of itself: once a second, by its heartbeat."""

import platform
from collections import Counter
from datetime import datetime
from importlib.metadata import version
from typing import Any

from dataflows.pulse import Pulse
from telemetry import metrics

Row = dict[str, Any]


def show_build() -> None:
    """Say what runs."""
    of = version("cryptotools"), platform.python_version(), version("bytewax")
    metrics.BUILD.labels(*of).set(1)


def show_account(row: Row, pulse: Pulse) -> None:
    """Show what a heartbeat tells."""
    metrics.HEARTBEAT.set(row["written"])
    metrics.grow(metrics.TURNS, {"": pulse.turns})
    _show_links(row, pulse)
    symbols = row["symbols"]
    metrics.show(metrics.LAG, {key: one["lag_s"] for key, one in symbols.items()})
    metrics.show(metrics.GAPS_OPEN, {key: one["gaps_open"] for key, one in symbols.items()})
    times = {key: one["last_time"] for key, one in symbols.items() if one["last_time"]}
    metrics.show(metrics.LAST_TRADE, {key: _seconds(at) for key, at in times.items()})
    metrics.show(metrics.BOOKS, row["books"])
    disk = row["disk"]
    if "free_bytes" in disk:
        metrics.DISK_FREE.labels("lake").set(disk["free_bytes"])
        metrics.DISK_SIZE.labels("lake").set(disk["total_bytes"])


def show_instances(rows: list[Row]) -> None:
    """Show how many instances are in which state."""
    counts = Counter(str(row["state"]) for row in rows)
    states = ("running", "warming", "paused", "errored")
    metrics.show(metrics.INSTANCES, {state: counts[state] for state in states})


def _show_links(row: Row, pulse: Pulse) -> None:
    metrics.show(metrics.LINKS_OPEN, row["links"])
    opened = {
        shard: min(links.values()) / 1e6 for shard, links in list(pulse.links.items()) if links
    }
    metrics.show(metrics.LINK_OPENED, opened)
    shards = {*list(pulse.messages), *list(pulse.closed_messages)}
    metrics.grow(metrics.FRAMES, {shard: pulse.received(shard) for shard in shards})


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
