"""One process of a flow: started, listened to, ended."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import IO

_TAIL = 200
_READ_S = 2.0


class Child:
    """A process whose stderr is passed on, and its end kept.

    Args:
        command: What to run.
        env: Its environment.
        keep: Files that it inherits: locks, which then last as long as it does.

    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], keep: Sequence[int] = ()
    ) -> None:
        # In a session of its own: a Ctrl-C is for us, and we then end it in the proper way.
        self._process = subprocess.Popen(
            command, env=dict(env), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="replace", start_new_session=True, pass_fds=tuple(keep),
        )  # fmt: skip
        self.pid = self._process.pid
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,))
        self._reader.daemon = True
        self._reader.start()

    def poll(self) -> int | None:
        """Return its exit code (negative: the signal that ended it), None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, also if it is stopped, and what it may have started in its session."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            self._process.kill()

    def wait(self, seconds: float) -> int | None:
        """Wait for its end, so long at most; return its exit code, None if it still runs."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(_READ_S)
        return code

    def last_words(self) -> list[str]:
        """Return the last lines that it wrote to stderr."""
        return list(self._tail)

    def _read(self, lines: IO[str] | None) -> None:
        if lines is None:
            return
        with lines:
            for line in lines:
                self._tail.append(line.rstrip("\n"))
                sys.stderr.write(line)
                sys.stderr.flush()
