"""The loop: start, watch, start again; end what was started.

start ─► watch ─► it ended ─► why? ─► a user's mistake: end, exit code 2
▲         └───► it is frozen ─► kill
├── delay ◄─────────┴──────────┼──► too often: give up, exit code 3
└── space ◄────────────────────┘ a disk is full: wait for space
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from config.secret import OPEN
from config.settings import Settings
from connectors.redis.board import Board
from core.market.errors import ServiceError
from dataflows.addresses import NO_REDIS
from dataflows.heartbeat import SUPERVISOR, board_of, status_folder, write_status
from dataflows.process import claimed
from dataflows.recovery import prepare_store
from supervisor.causes import USAGE, Cause
from supervisor.cluster import Cluster, Hurry, Shape
from supervisor.companion import Companion
from supervisor.frozen import FrozenWatch
from supervisor.patience import Patience
from supervisor.server import RedisKeeper
from supervisor.space import lacking

LOG = logging.getLogger("cryptotools.supervisor")

SAVED = "settings.json"
_LOOK_S = 0.1
_TELL_S = 1.0
_ENOUGH_SNAPSHOTS = 3


@dataclass(slots=True)
class _Account:
    """What the supervisor tells of itself in its status file."""

    state: str = "starting"
    restarts: int = 0
    last_cause: str = ""
    last_restart: str = ""
    waits_for: str = ""
    children: list[int] = field(default_factory=list)


class Supervisor:
    """Keeps one flow running until it is told to end.

    Args:
        settings: Of the flow.
        processes: How many; more than one are a cluster on this machine.
        workers: Worker threads in each.
        fresh: Begin a new recovery store.
        beside: Programs that run as long as the flow does, by name: their arguments, to which the
            path of the settings in force is added.

    """

    def __init__(
        self,
        settings: Settings,
        *,
        processes: int = 1,
        workers: int = 1,
        fresh: bool = False,
        beside: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._settings = settings
        self._processes, self._workers, self._fresh = processes, workers, fresh
        self._stop = threading.Event()
        self._beside = dict(beside or {})
        self._hurry = Hurry()
        self._account = _Account()
        self._began = time.time()
        self._told_at = 0.0
        self._board: Board | None = None

    def run(self) -> int:
        """Supervise; return the exit code: 0, or 2 for a mistake that the flow has told.

        Raises:
            ServiceError: Another flow is on this state, the store or Redis cannot be used, the
                flow failed too often, or did not end in time.

        """
        with claimed(self._settings) as locks, self._signals():
            store = self._settings.recovery_store
            if store is not None:
                prepare_store(store, self._settings, fresh=self._fresh)
            shape = Shape(
                saved=self._save(),
                state_dir=self._settings.state_dir,
                recovery=store,
                snapshot_s=self._settings.recovery.snapshot_seconds,
                processes=self._processes,
                workers=self._workers,
            )
            with self._redis(), self._companions(shape.saved):
                try:
                    return self._keep(shape, [lock.file for lock in locks])
                finally:
                    self._tell("stopped")
                    if self._board is not None:
                        self._board.close()

    def stop(self) -> None:
        """End the flow; asked a second time, at once."""
        self._hurry.asked += 1
        self._stop.set()

    # ---- the loop ----

    def _keep(self, shape: Shape, locks: Sequence[int]) -> int:
        own = self._settings.supervisor
        patience = Patience(own.max_failures, own.window_seconds)
        while not self._stop.is_set():
            started = time.monotonic()
            cluster = Cluster(shape, locks)
            try:
                self._account.children = [child.pid for child in cluster.children]
                self._tell("running")
                cause = self._watch(cluster)
            finally:
                cluster.kill()
            if cause is None:
                return 0
            if cause.exit_code == USAGE:
                if not cause.told:
                    LOG.error("%s", cause.text)
                return USAGE
            self._again(cause, patience, time.monotonic() - started)
        return 0

    def _watch(self, cluster: Cluster) -> Cause | None:
        # Returns why the flow must be started again; None: it was told to end, and did.
        own, every = self._settings.supervisor, self._settings.recovery.snapshot_seconds
        watch = FrozenWatch(
            self._processes,
            frozen_s=max(own.frozen_seconds, _ENOUGH_SNAPSHOTS * every),
            start_s=max(own.start_seconds, own.frozen_seconds),
            now=time.monotonic(),
        )
        while not self._stop.wait(_LOOK_S):
            ended = cluster.first_ended()
            if ended is not None:
                return cluster.bury(ended)
            if time.monotonic() - self._told_at >= _TELL_S:
                self._tell("running")
                frozen = watch.look(cluster.rows(), time.monotonic())
                if frozen:
                    cluster.kill()
                    return Cause(frozen, 1)
        self._tell("stopping")
        if not cluster.stop(own.grace_seconds, self._hurry):
            raise ServiceError(
                "flow",
                "was killed before it had ended",
                hint="nothing is lost: the next start goes on from the last snapshot",
            )
        return None

    def _again(self, cause: Cause, patience: Patience, lived: float) -> None:
        self._account.last_cause = cause.text
        LOG.error("the flow failed after %.1f s: %s", lived, cause.text)
        delay = 0.0 if self._waited_for_space() else patience.failed(time.monotonic(), lived)
        if delay is None:
            raise ServiceError(
                "flow",
                f"failed {patience.max_failures} times within {patience.window_s:g} s; "
                f"the last time: {cause.text}",
            )
        self._account.restarts += 1
        self._account.last_restart = datetime.now(UTC).isoformat(timespec="seconds")
        LOG.warning("starting it again in %g s (restart %d)", delay, self._account.restarts)
        self._tell("restarting")
        self._stop.wait(delay)

    def _waited_for_space(self) -> bool:
        # A full disk is nobody's failure: however long it lasts, the flow goes on afterwards.
        own = self._settings
        folders = [own.state_dir, own.lake.path]
        folders += [own.recording.path] if own.recording.enabled else []
        lack = lacking(folders)
        if not lack:
            return False
        LOG.error("%s: waiting for space", lack)
        while lack and not self._stop.is_set():
            self._account.waits_for = lack
            self._tell("waiting")
            self._stop.wait(_TELL_S)
            lack = lacking(folders)
        self._account.waits_for = ""
        return True

    # ---- what surrounds it ----

    def _save(self) -> Path:
        # What is in force here is in force there, whatever the environment says by then. It may
        # hold a password, so it is for our eyes only.
        path = self._settings.state_dir / SAVED
        hidden = path.with_name(f".{path.name}.tmp")
        with suppress(FileNotFoundError):
            hidden.unlink()
        file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w") as out:
            out.write(self._settings.model_dump_json(context=OPEN))
        hidden.replace(path)
        return path.absolute()

    @contextmanager
    def _redis(self) -> Iterator[None]:
        if self._settings.redis.url is not None:
            if self._settings.redis.url != NO_REDIS:
                LOG.info("publishing to the Redis of `redis.url`, which is not supervised")
            yield
            return
        keeper = RedisKeeper(self._settings.state_dir / "redis")
        keeper.start()
        try:
            yield
        finally:
            keeper.end()

    @contextmanager
    def _companions(self, saved: Path) -> Iterator[None]:
        started = [
            Companion(name, [*command, str(saved)]) for name, command in self._beside.items()
        ]
        for one in started:
            one.start()
        try:
            yield
        finally:
            for one in started:
                one.end()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def handle(_number: int, _frame: FrameType | None) -> None:
            self.stop()

        both = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, handle) for number in both]
        try:
            yield
        finally:
            for number, old in zip(both, before, strict=True):
                signal.signal(number, old)

    def _tell(self, state: str) -> None:
        self._told_at = time.monotonic()
        self._account.state = state
        now = time.time()
        row = {
            "pid": os.getpid(),
            "version": version("cryptotools"),
            "started": datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds"),
            "uptime_s": round(now - self._began, 1),
            "written": now,
            "state": state,
            "processes": self._processes,
            "children": self._account.children,
            "restarts": self._account.restarts,
            "last_cause": self._account.last_cause,
            "last_restart": self._account.last_restart,
            "waits_for": self._account.waits_for,
        }
        self._board = self._board or board_of(self._settings)
        if self._board is not None:
            self._board.show("supervisor", row)
        path = status_folder(self._settings.state_dir) / SUPERVISOR
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_status(path, row)
        except OSError as error:
            LOG.warning("the status cannot be written: %s", error)
