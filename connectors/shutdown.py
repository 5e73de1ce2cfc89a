"""How a process ends: the stop flag that unbounded sources read, and the error that leaves.

Bytewax dies of SIGTERM without a snapshot, and in a cluster hangs when a handler raises. So the
handlers only set this flag; sources answer it with end-of-input, the engine snapshots, sinks
close their files, and the process exits 0.

Bytewax closes partitions in destructors, also while it unwinds from an error. A second error then
aborts the process with no word of the first, so `one_error` lets only the first one out.
"""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LOG = logging.getLogger("cryptotools")

STOP = threading.Event()
FAILED = threading.Event()


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
        FAILED.set()
        raise
