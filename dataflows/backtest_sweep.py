"""Tasks spread over processes: each is a flow of its own over the data, results come back in order.

Children leave SIGINT to their parent, which ends all of them; one whose parent is gone ends too.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from connectors.shutdown import STOP
from core.market.errors import CryptoToolsError, ServiceError
from strategies import registry
from telemetry import log
from telemetry.progress import PROGRESS

MOST_AT_ONCE = 200
"""Instances of one flow: each keeps its equity at every kline until its flow ends."""

_LEAST_INSTANCES = 4
_LEAST_BYTES = 4_000_000
"""Instances times data that take longer than starting a process does."""
_EVERY_S = 0.2


class Weighed(Protocol):
    """A task that can be sent to a process."""

    @property
    def weight(self) -> int:
        """Its share of the work."""
        ...


Task = TypeVar("Task", bound=Weighed)
Answer = TypeVar("Answer")

Told = Callable[[float], None]
"""Told how much of all the work is done, from 0 to 1."""


def processes_for(count: int, wanted: int | None, size: int = 0) -> int:
    """Return how many processes so many instances are worth.

    Args:
        count: Instances.
        wanted: What was asked for; None: as many as shorten the wait.
        size: Bytes of data, which each process reads.

    >>> processes_for(3, None), processes_for(3, 2), processes_for(1, 8)
    (1, 2, 1)

    """
    if wanted is not None:
        return max(1, min(wanted, count))
    worth = min(count // _LEAST_INSTANCES, count * size // _LEAST_BYTES)
    return max(1, min(os.cpu_count() or 1, worth))


def cut(count: int, processes: int) -> list[range]:
    """Return ranges of instances, as even as can be, one or more for each process.

    >>> cut(5, 2), cut(401, 1)
    ([range(0, 3), range(3, 5)], [range(0, 134), range(134, 268), range(268, 401)])
    """
    rounds = -(-count // (processes * MOST_AT_ONCE))
    parts = min(count, processes * rounds)
    size, rest = divmod(count, parts)
    edges = [0]
    for n in range(parts):
        edges.append(edges[-1] + size + (n < rest))
    return [range(a, b) for a, b in pairwise(edges)]


def sweep(
    work: Callable[[Task], Answer],
    tasks: Sequence[Task],
    processes: int,
    *,
    strategies_dir: Path | None = None,
    told: Told = lambda _: None,
) -> list[Answer]:
    """Return what `work` makes of each task, in their order.

    Args:
        work: A function of a module; one process runs it here.
        tasks: Can be pickled.
        processes: How many.
        strategies_dir: Where strategies of the user are: every process loads them.
        told: Called now and then.

    Raises:
        CryptoToolsError: What `work` raised; the other processes are ended.
        ServiceError: A process died.
        KeyboardInterrupt: The stop flag was set.

    """
    if processes == 1:
        return _here(work, tasks, told)
    return _Sweep(work, tasks, strategies_dir, told).run(processes)


def _here(work: Callable[[Task], Answer], tasks: Sequence[Task], told: Told) -> list[Answer]:
    shares = _Shares([task.weight for task in tasks], told)
    answers = []
    for n, task in enumerate(tasks):
        with _Reading(partial(shares.show, n)):
            answers.append(work(task))
        shares.show(n, 1.0)
    return answers


@dataclass(slots=True)
class _Shares:
    weights: list[int]
    told: Told
    done: dict[int, float] = field(default_factory=dict)

    def show(self, n: int, part: float) -> None:
        self.done[n] = part
        sum_ = sum(self.weights[k] * share for k, share in self.done.items())
        self.told(sum_ / max(1, sum(self.weights)))


class _Reading:
    """Tells how far this process has read, as long as it is open."""

    def __init__(self, told: Callable[[float], None]) -> None:
        self._told = told
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._start = (PROGRESS.done_bytes, PROGRESS.total_bytes)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_EVERY_S):
            done, total = PROGRESS.done_bytes, PROGRESS.total_bytes
            self._told(min(1.0, (done - self._start[0]) / max(1, total - self._start[1])))


class _Sweep(Generic[Task, Answer]):
    def __init__(
        self,
        work: Callable[[Task], Answer],
        tasks: Sequence[Task],
        strategies_dir: Path | None,
        told: Told,
    ) -> None:
        self._work, self._tasks, self._dir = work, tasks, strategies_dir
        self._shares = _Shares([task.weight for task in tasks], told)
        self._answers: dict[int, Answer] = {}
        self._children: dict[Any, BaseProcess] = {}

    def run(self, processes: int) -> list[Answer]:
        numbered = list(enumerate(self._tasks))
        try:
            for n in range(processes):
                self._start(numbered[n::processes])
            while self._children:
                for pipe in wait(list(self._children), _EVERY_S):
                    self._hear(pipe)
                if STOP.is_set():
                    raise KeyboardInterrupt
        finally:
            self._end()
        return [self._answers[n] for n in range(len(self._tasks))]

    def _start(self, tasks: list[tuple[int, Task]]) -> None:
        if not tasks:
            return
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        args = (theirs, self._work, tasks, self._dir)
        child = spawn.Process(target=_child, args=args, daemon=True)
        child.start()
        theirs.close()
        self._children[ours] = child

    def _hear(self, pipe: Any) -> None:  # noqa: ANN401 - `wait` says object; it is a Connection
        try:
            what, n, value = pipe.recv()
        except (EOFError, OSError):
            child = self._children.pop(pipe)
            child.join()
            if child.exitcode:
                why = f"ended with {child.exitcode}"
                hint = "with --jobs 1 more is told; too little memory ends processes too"
                raise ServiceError("a process of the sweep", why, hint=hint) from None
            return
        if what == "error":
            raise value
        if what == "answer":
            self._answers[n] = value
            value = 1.0
        self._shares.show(n, value)

    def _end(self) -> None:
        for child in self._children.values():
            child.terminate()
        for child in self._children.values():
            child.join()
        self._children.clear()


def _child(
    pipe: "Connection[Any, Any]",
    work: Callable[[Any], Any],
    tasks: list[tuple[int, Any]],
    strategies_dir: Path | None,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log.configure("error")
    lock = threading.Lock()

    def send(*message: object) -> None:
        try:
            with lock:
                pipe.send(message)
        except OSError:
            os._exit(1)  # nobody listens any more; the engine would go on to its end

    try:
        registry.load(strategies_dir)
        for n, task in tasks:
            with _Reading(partial(send, "part", n)):
                answer = work(task)
            send("answer", n, answer)
    except CryptoToolsError as error:
        send("error", -1, error)
    with suppress(OSError):
        pipe.close()
