"""Stops a strategy that computes without end: an exception is put into the thread that runs it.

The limit is on the processor time of the thread, so a machine that is busy or asleep stops nobody.
What waits inside a system call or a C library can be stopped only when it comes back.
"""

import ctypes
import threading
import time
import weakref

_LOOK_S = 0.1


class StrategyTimeout(BaseException):
    """A strategy took too long; no `Exception`, so that no ``except Exception`` swallows it."""


class Guard:
    """Watches calls made on the thread that made it.

    Args:
        seconds: Processor time that a call may take.

    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0  # odd while one is running
        self.lock = threading.Lock()
        self.thread = threading.get_ident()
        self.clock = time.pthread_getcpuclockid(self.thread)
        self.fired = False
        _WATCHDOG.watch(self)

    def enter(self) -> None:
        """Begin a call."""
        self.calls |= 1

    def leave(self) -> None:
        """End it; afterwards nothing can be raised because of it."""
        with self.lock:
            self.calls = (self.calls | 1) + 1
            if self.fired:
                self.fired = False
                _raise_in(self.thread, None)

    def look(self, seen: tuple[int, float]) -> tuple[int, float]:
        """Stop a call that has gone on for too long.

        Args:
            seen: The call that ran at the last look, and the thread's time when it was first seen.

        """
        now = time.clock_gettime(self.clock)
        with self.lock:
            if not self.calls & 1:
                return 0, 0.0
            if self.calls != seen[0]:
                return self.calls, now
            if now - seen[1] > self.seconds:
                self.fired = True
                _raise_in(self.thread, StrategyTimeout)
        return seen


class _Watchdog:
    """One thread for all guards of the process."""

    def __init__(self) -> None:
        self._guards: weakref.WeakSet[Guard] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, guard: Guard) -> None:
        """Add a guard."""
        with self._lock:
            self._guards.add(guard)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        seen: weakref.WeakKeyDictionary[Guard, tuple[int, float]] = weakref.WeakKeyDictionary()
        while True:
            time.sleep(_LOOK_S)
            with self._lock:
                guards = list(self._guards)
            for guard in guards:
                try:
                    seen[guard] = guard.look(seen.get(guard, (0, 0.0)))
                except OSError:  # its thread has ended
                    self._guards.discard(guard)
            del guards


_WATCHDOG = _Watchdog()


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    # With None, one that is pending and not yet raised is taken back.
    raised = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)
