"""A real server, streams to publish to, and the API as a process of its own."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from connectors.redis.keys import REGISTRY, stream_key

KEY = "binance:BTCUSDT"

_SERVE = """
import sys, uvicorn
from pathlib import Path
from api.app import create_app
from config.settings import Settings

settings = Settings(redis={"url": sys.argv[1]}, state_dir=Path(sys.argv[3]))
uvicorn.run(
    create_app(settings), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning",
    timeout_graceful_shutdown=60,
)
"""


class Publisher:
    """Adds entries as a flow does: ids rise within a stream, its name is in the registry."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._counts: dict[str, int] = {}

    def add(self, kind: str, *, key: str = KEY, interval: str = "", **fields: str) -> str:
        name = stream_key(key, kind, interval)
        count = self._counts[name] = self._counts.get(name, 0) + 1
        row: dict[Any, Any] = {"n": str(count), **fields}
        if interval:
            row["interval"] = interval
        self._client.xadd(name, row, id=f"{1000 + count // 3}-{count}")
        if count == 1:
            self._client.sadd(REGISTRY, name)
        return name

    def count(self, kind: str, *, key: str = KEY, interval: str = "") -> int:
        """Return how many entries of a stream there are."""
        return self._counts.get(stream_key(key, kind, interval), 0)

    def kline(self, kind: str, n: int, *, key: str = KEY, **fields: str) -> str:
        """Add the kline of minute `n`: final, or forming."""
        row = {
            "open_ms": str(n * 60_000), "close_ms": str(n * 60_000 + 59_999),
            "close": "1", "status": "final" if kind == "kline" else "forming",
        }  # fmt: skip
        return self.add(kind, key=key, interval="1m", **{**row, **fields})

    def trade(self, n: int, *, key: str = KEY, price: str = "1") -> str:
        return self.add("trade", key=key, id=str(n), time_us=str(n * 1000), price=price)


class Api:
    """The API, which may be ended and started again at the same address."""

    def __init__(self, url: str, folder: Path) -> None:
        self._redis, self._folder = url, folder
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = int(found.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-c", _SERVE, self._redis, str(self.port), str(self._folder)]
        self.process = subprocess.Popen(command)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            time.sleep(0.05)
        pytest.fail("the API does not answer")

    def end(self, how: signal.Signals = signal.SIGTERM) -> float:
        """End it; return how many seconds it took."""
        began = time.monotonic()
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None
        return time.monotonic() - began


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Wait for a condition."""

    def wait(is_so: Callable[[], object], what: str = "it", seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, f"{what} did not happen"
            time.sleep(0.01)

    return wait
