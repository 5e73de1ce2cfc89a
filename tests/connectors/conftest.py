"""Engines for flows over a connector, and lives of writers with a log."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from connectors.arrowlog.journal import Journal
from connectors.arrowlog.log import segments


class Engine:
    """Runs flows in this process."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers

    def run(self, flow: Dataflow, recovery: Path | None = None) -> None:
        """Run to the end; with `recovery`, snapshot after every batch and go on from the last."""
        config = None
        if recovery is not None and not recovery.exists():
            recovery.mkdir()
            init_db_dir(recovery, 1)
        if recovery is not None:
            config = RecoveryConfig(str(recovery))
        cluster_main(
            flow, [], 0, epoch_interval=timedelta(0), recovery_config=config,
            worker_count_per_proc=self._workers,
        )  # fmt: skip


@pytest.fixture(scope="session")
def one() -> Engine:
    """Return an engine with one worker."""
    return Engine()


@pytest.fixture(scope="session")
def two() -> Engine:
    """Return an engine with two workers."""
    return Engine(2)


class Writer(Protocol):
    def write(self, value: Any) -> None: ...  # noqa: ANN401 - records or frames
    def flush_all(self) -> None: ...
    def snapshot(self) -> Any: ...  # noqa: ANN401 - of either writer
    def restore(self, snapshot: Any) -> None: ...  # noqa: ANN401 - as above
    def begin(self, run: str) -> None: ...


@dataclass(frozen=True)
class Life:
    """How long a writer lives and how it dies.

    Attributes:
        items: How many items it takes.
        snapshots: Before which of them it takes a snapshot.
        clean: Whether it is stopped: it then snapshots and closes its files.
        back: How many snapshots before the last one its successor begins.
        cut: Which part of what is not known to be on disk gets lost, 0 to 1.
        garbage: What is behind it then.

    """

    items: int
    snapshots: frozenset[int] = frozenset()
    clean: bool = False
    back: int = 0
    cut: float = 0.0
    garbage: bytes = b""


def live(
    make: Callable[[Journal], Writer], folder: Path, items: Sequence[object], lives: Sequence[Life]
) -> None:
    """Let writers take `items` one after the other; the last one takes all that are left."""
    at: int = 0
    state: bytes | None = None
    for life in [*lives, Life(len(items), clean=True)]:
        journal = Journal(folder, service="test", segment_bytes=3000)
        writer = make(journal)
        if state is None:
            writer.begin("abc")
        else:
            writer.restore(pickle.loads(state))
        taken: list[tuple[int, bytes | None]] = [(at, state)]
        for n, item in enumerate(items[at : at + life.items]):
            if n in life.snapshots:
                taken.append((at + n, pickle.dumps(writer.snapshot())))
            writer.write(item)
        if life.clean:
            taken.append((min(len(items), at + life.items), pickle.dumps(writer.snapshot())))
            writer.flush_all()
        journal.close()
        at, state = taken[max(0, len(taken) - 1 - min(1, life.back))]
        position = pickle.loads(state)["log"]["position"] if state else 0
        _lose(folder, position, life)


def _lose(folder: Path, position: int, life: Life) -> None:
    found = segments(folder)
    if not found:
        return
    last = found[-1]
    data = last.path.read_bytes()
    # What says that a file is about to be made is synced before it is made.
    synced = max(
        0, position - last.start, data.rfind(b'{"closing"') + 200 if b'"closing"' in data else 0
    )
    end = len(data) - int(life.cut * max(0, len(data) - synced))
    last.path.write_bytes(data[:end] + life.garbage)


@pytest.fixture(scope="session")
def living() -> Callable[..., None]:
    """Return the function that lets writers live and die."""
    return live


@pytest.fixture(scope="session")
def a_life() -> type[Life]:
    """Return the class of lives."""
    return Life
