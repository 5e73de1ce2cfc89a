"""The stop flag that every unbounded source reads.

Bytewax dies of SIGTERM without a snapshot, and in a cluster hangs when a handler raises. So the
handlers only set this flag; sources answer it with end-of-input, the engine snapshots, sinks
close their files, and the process exits 0.
"""

import signal
import threading
from types import FrameType

STOP = threading.Event()


def stop_on_signals() -> None:
    """Set the flag on SIGTERM and SIGINT; a second SIGINT ends the process at once."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if STOP.is_set() and number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        STOP.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
