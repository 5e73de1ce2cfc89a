"""Simulator → socket → flow → Redis and lake, all on this machine: throughput and latency."""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import redis

from bench.rows import Row
from connectors.recording.reader import read_frames
from connectors.redis.embedded import ensure, stop
from connectors.redis.keys import stream_key

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
_RATE = 5_000
_WARM_S = 3.0
_Seen = dict[tuple[str, int], int]


@contextmanager
def simulator(folder: Path, *, rate: float, history: float = 2.0) -> Iterator[dict[str, object]]:
    """Run a simulated exchange of `rate` trades a second in all; yield its addresses."""
    settings = folder / "exchange.json"
    settings.write_bytes(orjson.dumps({"rate": rate / len(SYMBOLS), "history": history}))
    command = [sys.executable, "-m", "bench.exchange", str(settings)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield orjson.loads(process.stdout.readline() if process.stdout else "")
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def flow(folder: Path, found: dict[str, object], url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the main job as a user does; end it as Kubernetes does."""
    settings = {
        "SYMBOLS": ",".join(SYMBOLS),
        "BINANCE__WS_URL": str(found["ws"]),
        "BINANCE__REST_URL": str(found["rest"]),
        "REDIS__URL": url,
        "LAKE__PATH": str(folder / "lake"),
        "RECORDING__PATH": str(folder / "recordings"),
        "LOG__LEVEL": "error",
    }
    env = os.environ | {f"CRYPTOTOOLS_{k}": v for k, v in settings.items()}
    process = subprocess.Popen([sys.executable, "-m", "bytewax.run", "dataflows.main"], env=env)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def live() -> list[Row]:
    """Measure the latency at 5,000 trades a second and the highest rate that gets through."""
    return [*latency(), *sustained()]


def latency(*, rate: int = _RATE, seconds: float = 12.0) -> list[Row]:
    """Measure one rate; a reader in this process takes its part of the machine."""
    with _job(rate) as job:
        seen = _watch(job.url, seconds)
        cpu = cpu_seconds(job.pid)
    return _rows(seen, job.received, rate, cpu)


def sustained(*, rate: int = 60_000, warm: float = 4.0, seconds: float = 10.0) -> list[Row]:
    """Offer more than may get through, and count the entries that Redis was given."""
    with _job(rate) as job:
        time.sleep(warm)
        began, before, cpu = time.monotonic(), _added(job.url), cpu_seconds(job.pid)
        time.sleep(seconds)
        count, took = _added(job.url) - before, time.monotonic() - began
        cpu = cpu_seconds(job.pid) - cpu
    share = f"{cpu / took:.2f} cores, the simulator and Redis beside it"
    return [Row("live, sustained, one worker", count / took, "trades/s", 30_000.0, against=share)]


@dataclass(slots=True)
class _Job:
    url: str
    pid: int
    received: _Seen


@contextmanager
def _job(rate: int) -> Iterator[_Job]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        url = ensure(folder / "redis").url
        try:
            with simulator(folder, rate=rate) as found, flow(folder, found, url) as process:
                job = _Job(url, process.pid, {})
                yield job
        finally:
            stop(folder / "redis")
        job.received.update(_received(folder / "recordings"))


def _added(url: str) -> int:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        infos: list[Any] = [
            client.xinfo_stream(stream_key(f"binance:{symbol}", "trade")) for symbol in SYMBOLS
        ]
    return sum(int(info["entries-added"]) for info in infos)


def _watch(url: str, seconds: float) -> _Seen:
    """Return when each trade could first be read from Redis, in wall microseconds."""
    keys = {stream_key(f"binance:{s}", "trade").encode(): f"binance:{s}" for s in SYMBOLS}
    at: dict[Any, Any] = dict.fromkeys(keys, b"0-0")
    seen: _Seen = {}
    until = time.monotonic() + seconds
    with redis.Redis.from_url(url) as client:
        while time.monotonic() < until:
            pages: Any = client.xread(at, count=1000, block=100)
            now = time.time_ns() // 1000
            for name, entries in pages:
                at[name] = entries[-1][0]
                for entry_id, _ in entries:  # an entry's id ends with the trade's
                    seen[keys[name], int(entry_id.partition(b"-")[2])] = now
    return seen


def _received(recordings: Path) -> _Seen:
    """Return when each trade came from the socket, in wall microseconds."""
    came: _Seen = {}
    for frame in read_frames(recordings):
        if frame.kind == "frame" and '"e":"trade"' in frame.payload:
            data = orjson.loads(frame.payload)["data"]
            came[f"binance:{data['s']}", data["t"]] = frame.received_us
    return came


def _rows(seen: _Seen, received: _Seen, rate: int, cpu: float) -> list[Row]:
    begin = min(received.values()) + int(_WARM_S * 1e6)
    both = {k: (received[k], at) for k, at in seen.items() if k in received}
    steady = [(came, at - came) for came, at in both.values() if came >= begin]
    delays = sorted(delay / 1000 for _, delay in steady)
    first, last = min(c for c, _ in steady), max(c for c, _ in steady)
    per_second = len(steady) / ((last - first) / 1e6)
    p99 = delays[int(len(delays) * 0.99)]
    label = f"live at {rate}/s"
    return [
        Row(f"{label}, arriving", per_second, "trades/s"),
        Row(f"{label}, receive to Redis, p50", statistics.median(delays), "ms", 3.0, at_most=True),
        Row(f"{label}, receive to Redis, p99", p99, "ms", 25.0, at_most=True),
        Row(f"{label}, CPU per trade", cpu / max(len(received), 1) * 1e6, "us"),
    ]


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of the CPU so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
