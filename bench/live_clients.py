"""Live push: many clients of one API process on loopback, one of which reads nothing."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import redis

from bench.live import cpu_seconds
from bench.rows import Row
from connectors.redis.embedded import ensure, stop
from connectors.redis.keys import REGISTRY, stream_key

CLIENTS = 200
PER_SECOND = 10
_SECONDS = 10.0
_WARM_S = 2.0
_KEY = "binance:BTCUSDT"
_FORMING = stream_key(_KEY, "forming", "1m")
_SIGNAL = stream_key(_KEY, "signal")
_ASKED = "klines/BTCUSDT/1m,signals"


@dataclass(slots=True)
class _Seen:
    """Delays in milliseconds, from publishing to having read it, by lane."""

    market: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    frames: int = 0
    since: float = 0.0

    def take(self, line: bytes) -> None:
        """Note what a frame holds."""
        now = time.time()
        if not self.since or now < self.since:
            return
        frame = orjson.loads(line)
        self.frames += 1
        self.events += [
            (now - float(event["fields"]["reason"])) * 1000
            for event in frame["events"]
            if float(event["fields"]["reason"]) >= self.since
        ]
        for kline in frame["latest"].values():
            if float(kline["close"]) >= self.since:
                self.market.append((now - float(kline["close"])) * 1000)


def push() -> list[Row]:
    """Measure delays and CPU of 200 clients at 10 updates a second each, alone and with a stall."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        url = ensure(folder / "redis").url
        try:
            with _api(url, folder) as (port, pid):
                alone, cpu = asyncio.run(_run(url, port, pid))
                stalled, _ = asyncio.run(_run(url, port, pid, stalled=1))
        finally:
            stop(folder / "redis")
    return _rows(alone, stalled, cpu)


@contextmanager
def _api(url: str, folder: Path) -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-m", "bench.api", url, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline() if process.stdout else ""), process.pid
    finally:
        process.terminate()
        process.wait(20)


async def _run(url: str, port: int, pid: int, *, stalled: int = 0) -> tuple[_Seen, float]:
    seen = _Seen()
    publishing = asyncio.create_task(_publish(url))
    idle = [await asyncio.open_connection("127.0.0.1", port, limit=1) for _ in range(stalled)]
    for _, writer in idle:
        writer.write(_request())
    clients = [asyncio.create_task(_client(port, seen)) for _ in range(CLIENTS)]
    await asyncio.sleep(_WARM_S)
    seen.since, began, cpu = time.time(), time.monotonic(), cpu_seconds(pid)
    await asyncio.sleep(_SECONDS)
    share = (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
    for task in (publishing, *clients):
        task.cancel()
    await asyncio.gather(publishing, *clients, return_exceptions=True)
    for _, writer in idle:
        writer.close()
    return seen, share


async def _publish(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.sadd(REGISTRY, _FORMING, _SIGNAL)
        while True:
            for name, fields in ((_FORMING, _kline()), (_SIGNAL, _signal())):
                row: dict[Any, Any] = fields
                client.xadd(name, row, maxlen=1000)
            await asyncio.sleep(1 / PER_SECOND)


def _kline() -> dict[str, str]:
    names = ("open", "high", "low", "volume", "quote_volume", "taker_buy_volume", "first_id")
    row = dict.fromkeys(names, "67123.45")
    return row | {"interval": "1m", "open_ms": "0", "close": repr(time.time())}


def _signal() -> dict[str, str]:
    row = {"strategy": "rsi", "instance": "rsi", "side": "long", "price": "1", "interval": "1m"}
    return row | {"reason": repr(time.time())}


def _request() -> bytes:
    return f"GET /api/v1/live/sse?topics={_ASKED} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def _client(port: int, seen: _Seen) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        writer.write(_request())
        while line := await reader.readline():
            if line.startswith(b"data: "):
                seen.take(line[6:])
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _rows(alone: _Seen, stalled: _Seen, cpu: float) -> list[Row]:
    market, events, beside = _p99(alone.market), _p99(alone.events), _p99(stalled.events)
    missed = 1 - len(alone.events) / (CLIENTS * PER_SECOND * _SECONDS)
    label = f"push to {CLIENTS} clients"
    return [
        Row(f"{label}, frames", alone.frames / _SECONDS, "frames/s"),
        Row(f"{label}, market lane, p99", market, "ms", 300.0, at_most=True),
        Row(f"{label}, event lane, p99", events, "ms", 300.0, at_most=True),
        Row(f"{label}, beside one that reads nothing, p99", beside, "ms", 300.0, at_most=True,
            against=f"{beside / events:.2f} of alone"),
        Row(f"{label}, CPU of the API", cpu, "cores", 0.8, at_most=True,
            against=f"{100 * missed:.1f} % of events outside the measured time"),
    ]  # fmt: skip


def _p99(delays: list[float]) -> float:
    return sorted(delays)[int(len(delays) * 0.99)]
