"""A live flow's heartbeat: what it tells of itself (`account`), once per second.

To ``state/status/<process>.json``, for those on this machine, and to Redis (`Board`), for all
others. Written by a thread of its own, so it also tells of an engine that stands still: `turns`
then does not rise. An account that is older than a few seconds is of a process that is frozen or
dead.
"""

import errno
import logging
import os
import threading
import time
from pathlib import Path

import orjson

from config.settings import Settings
from connectors.redis.board import Board
from connectors.shutdown import FIRST, STOP
from core.market.errors import CryptoToolsError, ServiceError
from dataflows.account import Row, account_of, instances_of, iso
from dataflows.addresses import known_address
from dataflows.gauges import show_account, show_build, show_instances
from dataflows.pulse import PULSE, Pulse
from dataflows.rates import Rates
from telemetry.books import BOOKS
from telemetry.exporter import Exporter
from telemetry.mask import MASK
from telemetry.passage import PASSAGE
from telemetry.traces import open_traces

LOG = logging.getLogger("cryptotools.heartbeat")

EVERY_S = 1.0
SUPERVISOR = "supervisor.json"
"""Where a supervisor tells of itself, beside the heartbeats."""

_INSTANCES_A_BEAT = 300
"""Instances of strategies may be thousands: with more, they are told of in every other beat, and so
on."""
_BALANCE_BEATS = 5
_ORPHAN_GRACE_S = 30.0
_TOGETHER_S = 0.05


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
        alone: Whether it is the only process of its cluster: then its books have to balance.

    """

    def __init__(
        self,
        settings: Settings,
        *,
        process: int = 0,
        parent: int = 0,
        pulse: Pulse = PULSE,
        alone: bool = True,
    ) -> None:
        self._settings = settings
        self._process = process
        self._parent = parent
        self._pulse = pulse
        self._path = status_folder(settings.state_dir) / f"{process}.json"
        self._board: Board | None = None
        self._began = time.time()
        self._beats = 0
        self._rates = Rates()
        self._exporter = Exporter(settings.metrics.host, settings.metrics.port, process=process)
        self._alone = alone
        self._writing = threading.Lock()
        self._done = threading.Event()
        self._orphan_since = 0.0
        self._complained = False

    def start(self) -> None:
        """Begin; what the first error was is told at once.

        Raises:
            ServiceError: The port of the metrics is taken.
            ConfigError: Traces are set, and their library is not there.

        """
        traces = self._settings.traces
        PASSAGE.traces = open_traces(traces.url, traces.ratio, f"cryptotools-{self._settings.name}")
        self._exporter.start()
        show_build()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        FIRST.listen(self._failed)
        self.beat()
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def end(self) -> None:
        """Say that the flow has ended as it should."""
        self._done.set()
        self._pulse.changed.set()
        if self._alone:
            self._pulse.books = BOOKS.unexplained()
        self.beat(state="stopped")
        if self._board is not None:
            self._board.close()
        self._exporter.end()
        BOOKS.close()
        if PASSAGE.traces is not None:
            PASSAGE.traces.close()
        PASSAGE.clear()

    def beat(self, state: str = "", failure: Row | None = None) -> None:
        """Write the account as it stands."""
        with self._writing:
            self._beats += 1
            self._pulse.balance = self._alone and self._beats % _BALANCE_BEATS == 1
            row = self.account() | {"failure": failure}
            row["state"] = state or row["state"]
            instances = instances_of(self._pulse) if self._tells_instances(state) else None
            show_account(row, self._pulse)
            if instances is not None:
                show_instances(instances)
            try:
                write_status(self._path, row)
                if instances is not None:
                    told = {"instances": instances}
                    write_status(instances_file(self._settings.state_dir, self._process), told)
                self._complained = False
            except OSError as error:  # the flow matters more than its account
                if not self._complained:
                    LOG.warning("the status cannot be written: %s", error)
                self._complained = True
            self._show(row, instances)

    def account(self) -> Row:
        """Return what is to be told, as plain values."""
        now = time.time()
        messages = {shard: dict(links) for shard, links in list(self._pulse.messages.items())}
        self._rates.look(time.monotonic(), messages)
        return {
            "process": self._process,
            "started": iso(self._began),
            "uptime_s": round(now - self._began, 1),
            "written": now,
            "beats": self._beats,
            **account_of(self._settings, self._pulse, now, self._rates),
        }

    def _tells_instances(self, state: str) -> bool:
        count = sum(len(told) for told in list(self._pulse.told.values()))
        count += len(self._settings.strategies)
        rows = count * max(1, len(self._pulse.newest))
        return bool(state) or self._beats % (1 + rows // _INSTANCES_A_BEAT) == 0

    def _show(self, row: Row, instances: list[Row] | None) -> None:
        board = self._board = self._board or board_of(self._settings)
        if board is None:
            return  # the embedded server has not begun, or there is to be none
        board.show(self._process, row)
        if instances is not None:
            told = {"written": row["written"], "instances": instances}
            board.show(f"{self._process}/instances", told)

    def _failed(self, error: BaseException) -> None:
        code = error.exit_code if isinstance(error, CryptoToolsError) else 1
        text = str(error) if isinstance(error, CryptoToolsError) else _described(error)
        self.beat(state="failed", failure={"text": MASK(text), "exit_code": code})
        self._done.set()  # what is told of it last is what matters

    def _run(self) -> None:
        while not self._done.is_set():
            if self._pulse.changed.wait(EVERY_S):
                self._done.wait(_TOGETHER_S)  # what comes at once is told at once
                self._pulse.changed.clear()
            if self._done.is_set():
                return
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


def board_of(settings: Settings) -> Board | None:
    """Return the board that a flow tells of itself on; None where no Redis is known by now."""
    url = known_address(settings)
    if url is None:
        return None
    try:
        return Board(url, settings.name)
    except ServiceError as error:
        LOG.warning("%s", error)
        return None


def _described(error: BaseException) -> str:
    trace, frame = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        frame = f" ({code.co_filename}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{frame}"
