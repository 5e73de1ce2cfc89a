"""An app behind a real socket."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from api.serve import address_of, server_config
from config.settings import Settings


class Answering(uvicorn.Server):
    """A server in a thread, which takes no signals."""

    def install_signal_handlers(self) -> None:
        """Leave them to the test."""


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Serve the API on a free port of this machine; yield its address."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        own.listen()
        server = Answering(server_config(settings))
        thread = threading.Thread(target=server.run, args=([own],), daemon=True)
        thread.start()
        until = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < until, "the API does not start"
            time.sleep(0.005)
        try:
            yield address_of(own)
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def client(settings: Settings, **headers: str) -> Iterator[httpx.Client]:
    """Serve the API and return who talks to it."""
    with served(settings) as url, httpx.Client(base_url=url, headers=headers, timeout=30) as found:
        yield found
