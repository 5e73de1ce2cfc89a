"""Keeps programs running beside the flow: the API, notifications.

They come and go without the flow: one that ends is started again, ever more slowly, and never given
up; the flow does not wait for it.
"""

import logging
import os
import threading
import time
from collections.abc import Sequence

from supervisor.child import Child

LOG = logging.getLogger("cryptotools.supervisor")

_LOOK_S = 0.2
_GRACE_S = 8.0
_FIRST_S = 0.5
_MOST_S = 30.0
_LASTED_S = 20.0
USAGE = 2


class Companion:
    """A program beside the flow.

    Args:
        name: For people.
        command: What to run.

    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self._name, self._command = name, list(command)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keep-{name}", daemon=True)
        self._child: Child | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """End it: asked first, then by force."""
        self._done.set()
        self._thread.join(2 * _GRACE_S)

    def _keep(self) -> None:
        delay = _FIRST_S
        while not self._done.is_set():
            began = time.monotonic()
            code = self._run()
            if self._done.is_set():
                return
            if code == USAGE:
                LOG.error("the %s ended over a mistake in the settings: it is left out", self._name)
                return
            lasted = time.monotonic() - began > _LASTED_S
            delay = _FIRST_S if lasted else min(2 * delay, _MOST_S)
            LOG.warning("the %s ended (%s): again in %g s", self._name, code, delay)
            self._done.wait(delay)

    def _run(self) -> int | None:
        try:
            child = self._child = Child(self._command, os.environ)
        except OSError as error:
            LOG.warning("the %s cannot be started: %s", self._name, error)
            return None
        try:
            while not self._done.wait(_LOOK_S):
                code = child.poll()
                if code is not None:
                    return code
            child.terminate()
            return child.wait(_GRACE_S)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait(1.0)
