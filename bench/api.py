"""An API for measuring: ``python -m bench.api redis-url folder``; prints its port."""

import socket
import sys
from pathlib import Path

import uvicorn

from api.app import create_app
from config.settings import Settings


def main(url: str, folder: str) -> None:
    """Serve until SIGTERM; print the port first."""
    settings = Settings.model_validate({"redis": {"url": url}, "state_dir": Path(folder)})
    config = uvicorn.Config(
        create_app(settings), log_level="error", access_log=False, timeout_graceful_shutdown=1
    )
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
