"""The processes of one flow: they start, run and end together.

A cluster that has lost one process cannot go on, and Bytewax may hang instead of saying so; so one
that is gone takes the others with it.
"""

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dataflows
from dataflows.account import Row
from dataflows.heartbeat import status_folder
from dataflows.status import heartbeats
from supervisor.causes import Cause, Ending, cause_of
from supervisor.child import Child

_LAST_WORDS_S = 0.5
_KILLED_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Shape:
    """What a flow is made of.

    Attributes:
        saved: File of its settings.
        state_dir: Where its heartbeats are.
        recovery: Its store; None: it has none.
        snapshot_s: Seconds between snapshots.
        processes: How many processes, on this machine.
        workers: Worker threads in each.

    """

    saved: Path
    state_dir: Path
    recovery: Path | None
    snapshot_s: int
    processes: int = 1
    workers: int = 1

    def commands(self) -> list[list[str]]:
        """Return the command of each process; a cluster gets ports that are free now."""
        base = [
            sys.executable, "-m", "bytewax.run", f"dataflows.main:flow({str(self.saved)!r})",
            "-w", str(self.workers), "-s", str(self.snapshot_s),
        ]  # fmt: skip
        if self.recovery is not None:
            base += ["-r", str(self.recovery), "-b", "0"]
        if self.processes == 1:
            return [base]
        # Nobody may connect to these: a stranger's connection ends a process of the cluster.
        addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(self.processes))
        return [[*base, "-i", str(n), "-a", addresses] for n in range(self.processes)]


class Cluster:
    """The running processes of a flow.

    Args:
        shape: What to start.
        keep: Locks that the processes inherit.

    """

    def __init__(self, shape: Shape, keep: Sequence[int] = ()) -> None:
        self._shape = shape
        for old in status_folder(shape.state_dir).glob("[0-9]*.json"):
            old.unlink(missing_ok=True)
        env = environment()
        self.children: list[Child] = []
        try:
            for command in shape.commands():
                self.children.append(Child(command, env, keep))
        except BaseException:
            self.kill()
            raise

    def rows(self) -> dict[int, Row]:
        """Return the newest heartbeats by process."""
        return heartbeats(self._shape.state_dir)

    def first_ended(self) -> int | None:
        """Return the process that has ended, None while all run."""
        return next((n for n, c in enumerate(self.children) if c.poll() is not None), None)

    def stop(self, grace_s: float, hurry: "Hurry") -> bool:
        """Ask all to end and wait for it; kill what has not ended in time. Say whether all did."""
        for child in self.children:
            child.terminate()
        until = time.monotonic() + grace_s
        while any(child.poll() is None for child in self.children):
            if time.monotonic() > until or hurry():
                self.kill()
                return False
            time.sleep(_POLL_S)
        self._reap()
        return True

    def bury(self, first: int) -> Cause:
        """End what is left of a flow that lost a process; return why it did."""
        until = time.monotonic() + _LAST_WORDS_S  # the others may know why
        while time.monotonic() < until and any(c.poll() is None for c in self.children):
            time.sleep(_POLL_S)
        ended = [child.poll() is not None for child in self.children]
        self.kill()
        rows = self.rows()
        endings = {
            n: Ending(child.poll() or 0, child.last_words(), rows.get(n, {}).get("failure"))
            for n, child in enumerate(self.children)
            if ended[n]
        }
        return cause_of(endings, first)

    def kill(self) -> None:
        """End all at once."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
        self._reap()

    def _reap(self) -> None:
        for child in self.children:
            child.wait(_KILLED_S)


class Hurry:
    """Whether somebody has asked a second time."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> bool:
        """Say so."""
        return self.asked > 1


def environment() -> Mapping[str, str]:
    """Return what a process of the flow is given: ours, without what would steer the engine."""
    engine = {"BYTEWAX_DATAFLOW_API_ENABLED", "BYTEWAX_DATAFLOW_API_PORT"}
    env = {k: v for k, v in os.environ.items() if not k.startswith("BYTEWAX_") or k in engine}
    root = str(Path(dataflows.__file__).parents[1])
    path = [root, *filter(None, [env.get("PYTHONPATH")])]
    return env | {"PYTHONPATH": os.pathsep.join(path), "RUST_BACKTRACE": "0"}


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
