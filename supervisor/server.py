"""Keeps the embedded Redis running beside the flow."""

import logging
import threading
from pathlib import Path

from connectors.redis.embedded import ensure, running, stop
from core.market.errors import ServiceError

LOG = logging.getLogger("cryptotools.supervisor")

_LOOK_S = 2.0
_ANSWER_S = 10.0


class RedisKeeper:
    """Starts the server of a folder, and starts it again when it is gone; ends what it started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ours = False
        self._done = threading.Event()
        self._troubled = False
        self._thread = threading.Thread(target=self._keep, name="redis-keeper", daemon=True)
        self.url = ""

    def start(self) -> None:
        """Begin.

        Raises:
            ServiceError: It cannot be started.

        """
        self._ours = running(self._folder) is None
        self.url = ensure(self._folder).url
        self._thread.start()

    def end(self) -> None:
        """End the server if it was not there before us."""
        self._done.set()
        self._thread.join(_ANSWER_S)
        if self._ours:
            stop(self._folder)

    def _keep(self) -> None:
        while not self._done.wait(_LOOK_S):
            try:
                if running(self._folder) is None:
                    LOG.warning("the embedded redis is gone: starting it again")
                    ensure(self._folder)
                    self._ours = True
                self._troubled = False
            except ServiceError as error:
                if not self._troubled:
                    LOG.warning("%s", error)
                self._troubled = True
