"""How a process ends: the stop flag that unbounded sources read, and the error that leaves.

Bytewax dies of SIGTERM without a snapshot, and in a cluster hangs when a handler raises. So the
handlers only set this flag; sources answer it with end-of-input, the engine snapshots, sinks
close their files, and the process exits 0.

Bytewax closes partitions in destructors, also while it unwinds from an error. A second error then
aborts the process with no word of the first, so `one_error` lets only the first one out. In a
cluster it hides even that one, so `FIRST` keeps it for whoever reports it.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import ParamSpec, TypeVar

LOG = logging.getLogger("cryptotools")

STOP = threading.Event()
FAILED = threading.Event()

P = ParamSpec("P")
R = TypeVar("R")


class FirstError:
    """The error that ends this process; the others come of it."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._heard: Callable[[BaseException], None] | None = None

    def listen(self, heard: Callable[[BaseException], None] | None) -> None:
        """Choose who is told, on the thread of the error and before the process may be aborted."""
        self._heard = heard

    def note(self, error: BaseException) -> None:
        """Take an error; only the first one counts."""
        FAILED.set()
        if self.error is None:
            self.error = error
            if self._heard is not None:
                self._heard(error)

    def clear(self) -> None:
        """Forget it: another flow begins."""
        FAILED.clear()
        self.error = None


FIRST = FirstError()


def stop_on_signals() -> None:
    """Set the flag on SIGTERM and SIGINT; a second SIGINT ends the process at once."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if STOP.is_set() and number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        STOP.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


@contextmanager
def one_error(*, closing: bool = False) -> Iterator[None]:
    """Let an error out, unless it comes of closing after another one: that is logged."""
    try:
        yield
    except Exception as error:
        if closing and FAILED.is_set():
            LOG.error("%s", error)
            return
        FIRST.note(error)
        raise


def telling(work: Callable[P, R]) -> Callable[P, R]:
    """Wrap what a step does, so that its error is noted before the engine can hide it."""

    @wraps(work)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return work(*args, **kwargs)
        except Exception as error:
            FIRST.note(error)
            raise

    return told
