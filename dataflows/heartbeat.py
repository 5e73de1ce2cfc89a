"""A live flow's own account of itself: ``state/status/<process>.json``, once per second.

Written by a thread of its own, so it also tells of an engine that stands still: `turns` then does
not rise. A file that is older than a few seconds is of a process that is frozen or dead.
"""

import errno
import logging
import os
import shutil
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from config.settings import Settings
from connectors.shutdown import FIRST, STOP
from core.market.errors import CryptoToolsError
from dataflows.pulse import PULSE, Pulse
from telemetry import metrics

LOG = logging.getLogger("cryptotools.heartbeat")

EVERY_S = 1.0
INSTANCES_EVERY = 3
"""Beats between two accounts of all instances of strategies, which may be thousands."""
_ORPHAN_GRACE_S = 30.0

Row = dict[str, Any]


def status_folder(state_dir: Path) -> Path:
    """Return where heartbeats are."""
    return state_dir / "status"


def instances_file(state_dir: Path, process: int) -> Path:
    """Return where a process tells of the instances that it runs."""
    return status_folder(state_dir) / f"instances-{process}.json"


def write_status(path: Path, row: Row) -> None:
    """Replace a status file in one step; it need not outlast a power cut, so nothing is synced.

    On a full disk it is written where the old one is, which takes no space; who reads it at that
    very moment may find half of it.
    """
    data = orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        hidden.write_bytes(data)
        hidden.replace(path)
    except OSError as error:
        hidden.unlink(missing_ok=True)
        if error.errno != errno.ENOSPC or not path.exists():
            raise
        with path.open("r+b") as file:
            file.write(data)
            file.truncate()


class Heartbeat:
    """Tells of this process until it ends.

    Args:
        settings: What the flow follows and where it writes.
        process: Number of the process within its cluster.
        parent: The supervisor; when it is gone, the flow ends. 0: there is none.
        pulse: What passes through the flow.

    """

    def __init__(
        self, settings: Settings, *, process: int = 0, parent: int = 0, pulse: Pulse = PULSE
    ) -> None:
        self._settings = settings
        self._process = process
        self._parent = parent
        self._pulse = pulse
        self._path = status_folder(settings.state_dir) / f"{process}.json"
        self._began = time.time()
        self._beats = 0
        self._writing = threading.Lock()
        self._done = threading.Event()
        self._orphan_since = 0.0
        self._complained = False

    def start(self) -> None:
        """Begin; what the first error was is told at once."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        FIRST.listen(self._failed)
        self.beat()
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def end(self) -> None:
        """Say that the flow has ended as it should."""
        self._done.set()
        self.beat(state="stopped")

    def beat(self, state: str = "", failure: Row | None = None) -> None:
        """Write the account as it stands."""
        with self._writing:
            self._beats += 1
            row = self.account() | {"failure": failure}
            row["state"] = state or row["state"]
            try:
                write_status(self._path, row)
                if self._beats % INSTANCES_EVERY == 1 or state:
                    self._write_instances()
                self._complained = False
            except OSError as error:  # the flow matters more than its account
                if not self._complained:
                    LOG.warning("the status cannot be written: %s", error)
                self._complained = True

    def account(self) -> Row:
        """Return what is to be told, as plain values."""
        pulse, now = self._pulse, time.time()
        idle = {shard for shard, symbols in list(pulse.following.items()) if not symbols}
        connected = {
            shard: len(links)
            for shard, links in list(pulse.links.items())
            if links or shard not in idle  # one without symbols has nobody to listen to
        }
        return {
            "process": self._process,
            "pid": os.getpid(),
            "version": version("cryptotools"),
            "started": _iso(self._began),
            "uptime_s": round(now - self._began, 1),
            "written": now,
            "beats": self._beats,
            "turns": pulse.turns,
            "snapshots": pulse.snapshots,
            "state": self._state(),
            "following": self._following(),
            "symbols": self._symbols(now),
            "links": connected,
            "rows": _rows(),
            "gaps_permanent": metrics.total(metrics.GAPS, state="permanent"),
            "redis": _redis(now),
            "disk": _disk(self._settings),
            "rss_bytes": rss_bytes(),
        }

    def _write_instances(self) -> None:
        rows = [
            {"key": key, **row}
            for key, host in list(self._pulse.hosts.items())
            for row in host.status()
        ]
        write_status(instances_file(self._settings.state_dir, self._process), {"instances": rows})

    def _state(self) -> str:
        if FIRST.error is not None:
            return "failed"
        if STOP.is_set():
            return "stopping"
        return "running" if self._pulse.turns else "starting"

    def _following(self) -> list[str]:
        said = list(self._pulse.following.values())
        return sorted(set().union(*said)) if said else list(self._settings.symbols)

    def _symbols(self, now: float) -> Row:
        pulse, found = self._pulse, {}
        skew, following = _skew(pulse), set(self._following())
        for key in sorted({*list(pulse.newest), *list(pulse.clocks)}):
            if key.partition(":")[2] not in following:
                continue  # not any more
            trades = pulse.newest.get(key)
            traded_us = int(trades.time_us[-1]) if trades is not None else 0
            known_us = max(traded_us, pulse.clocks.get(key, 0))
            found[key] = {
                "last_id": int(trades.id[-1]) if trades is not None else None,
                "last_time": _iso(traded_us / 1e6) if trades is not None else None,
                "known_until": _iso(known_us / 1e6),
                "lag_s": round(max(0.0, now + skew - known_us / 1e6), 3),
                "gaps_open": pulse.open_holes(key),
            }
        return found

    def _failed(self, error: BaseException) -> None:
        code = error.exit_code if isinstance(error, CryptoToolsError) else 1
        text = str(error) if isinstance(error, CryptoToolsError) else _described(error)
        self.beat(state="failed", failure={"text": text, "exit_code": code})
        self._done.set()  # what is told of it last is what matters

    def _run(self) -> None:
        while not self._done.wait(EVERY_S):
            self.beat()
            if self._parent and os.getppid() != self._parent:
                self._orphaned()

    def _orphaned(self) -> None:
        # Whoever started us is dead. Nobody restarts or ends us any more, so we end ourselves.
        if not self._orphan_since:
            LOG.error("the supervisor is gone: ending")
            self._orphan_since = time.monotonic()
            STOP.set()
        elif time.monotonic() > self._orphan_since + _ORPHAN_GRACE_S:
            os._exit(1)


def rss_bytes() -> int:
    """Return this process's resident memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _described(error: BaseException) -> str:
    trace, frame = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        frame = f" ({code.co_filename}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{frame}"


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


def _disk(settings: Settings) -> Row:
    try:
        found = shutil.disk_usage(settings.lake.path)
    except OSError as error:
        return {"path": str(settings.lake.path), "error": str(error.strerror)}
    return {"path": str(settings.lake.path), "free_bytes": found.free, "total_bytes": found.total}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
