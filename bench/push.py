"""Live push: many clients of one API process, alone and beside some that read nothing.

The API is started as a user starts it; Redis, the API, who writes and who reads are four processes
on this machine. They share its cores, and its clock: a delay is from before an entry was added to
when the client has read it.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

import orjson
import redis

from bench.live import cpu_seconds
from bench.push_clients import Tally
from bench.push_plan import EVENTS, VALUES, Plan, Transport
from bench.push_writer import add
from bench.rows import Row
from connectors.redis.embedded import ensure, stop
from connectors.redis.keys import REGISTRY
from core.market.errors import CryptoToolsError, ServiceError

_P99_MS = 250.0
_CORES = 0.8
_SHARES = (("p50", 0.5, None), ("p95", 0.95, None), ("p99", 0.99, _P99_MS), ("max", 1.0, None))
_START_S = 60.0
_ROOT = Path(__file__).resolve().parents[1]
_ADDRESS = re.compile(r"answers at http://[^:]+:(\d+)")
_COUNTER = re.compile(r"^(cryptotools_api_live_\w+)_total(\{[^}]*\})? (\S+)$", re.MULTILINE)


class PushError(CryptoToolsError):
    """Events did not come to each client once and in order."""

    def __init__(self, faults: list[str], report: str) -> None:
        self.faults, self.report = faults, report

    def __str__(self) -> str:
        shown = "; ".join(self.faults[:5])
        return f"events must come to each client once and in order: {shown}\n{self.report}".rstrip()


@dataclass(frozen=True, slots=True)
class Found:
    """What one run found.

    Attributes:
        plan: What was run.
        tally: What clients saw.
        adding: How long Redis took for each round, in milliseconds: delays hold this.
        cores: CPU seconds of the API in a second.
        peak_mb: The most memory the API has had so far, in MiB.
        coalesced: Values that were replaced before a client was ready for them.
        dropped: Values and trades that clients were not sent, for there were too many.

    """

    plan: Plan
    tally: Tally
    adding: list[float]
    cores: float
    peak_mb: float
    coalesced: float
    dropped: float


def push(
    *,
    clients: int = 200,
    rate: float = 10.0,
    stalled: int = 5,
    seconds: float = 20.0,
    transport: Transport = "sse",
) -> list[Row]:
    """Measure delays, CPU and memory; each client is to be sent `rate` events and values a second.

    Raises:
        PushError: An event was lost, doubled or out of order.
        ServiceError: Redis or the API do not start.

    """
    plan = Plan(clients=clients, rate=rate, seconds=seconds, transport=transport)
    with TemporaryDirectory() as name:
        folder = Path(name)
        url = ensure(folder / "redis").url
        try:
            _begin(url)
            with _api(url, folder, clients + stalled) as (port, pid):
                plan = replace(plan, url=url, port=port)
                found = [_measure(replace(plan, run="alone"), pid)]
                if stalled:
                    found.append(_measure(replace(plan, run="beside", stalled=stalled), pid))
        finally:
            stop(folder / "redis")
    return _rows(*found)


def _begin(url: str) -> None:
    # The streams are there before the API looks: an event lane begins behind what there is.
    with redis.Redis.from_url(url) as client:
        client.sadd(REGISTRY, EVENTS, VALUES)
        add(client, "none", 0)


@contextmanager
def _api(url: str, folder: Path, most: int) -> Iterator[tuple[int, int]]:
    """Run the API as a user does, without settings of this machine."""
    wanted = {
        "redis.url": url, "state_dir": folder, "lake.path": folder / "lake", "log.level": "error",
        "api.live_clients": most + 10, "api.requests_per_minute": 2 * most + 1000,
    }  # fmt: skip
    command = [sys.executable, "-m", "cli.main", "api", "--port", "0", "--host", "127.0.0.1"]
    command += [part for key, value in wanted.items() for part in ("--set", f"{key}={value}")]
    env = {key: value for key, value in os.environ.items() if not key.startswith("CRYPTOTOOLS_")}
    env["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *env.get("PYTHONPATH", "").split(os.pathsep)])
    said = folder / "api.log"
    with said.open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        yield _port(process, said), process.pid
    finally:
        process.terminate()
        process.wait(20)


def _port(process: "subprocess.Popen[bytes]", said: Path) -> int:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        told = _ADDRESS.search(said.read_text().replace("\n", " "))
        if told is not None:
            return int(told.group(1))
        time.sleep(0.05)
    raise ServiceError("api", f"does not start: {said.read_text()[-500:]}")


def _measure(plan: Plan, pid: int) -> Found:
    before = _counted(plan.port)
    with _process("bench.push_clients", plan) as clients:
        if _line(clients) != "ready\n":
            raise ServiceError("clients", "could not be connected", hint="see what they said")
        with _process("bench.push_writer", plan) as writer:
            _line(writer)
            cpu, began = cpu_seconds(pid), time.monotonic()
            adding = orjson.loads(_line(writer) or b"[]")
            cores = (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
        told = _line(clients)
    if not told:
        raise ServiceError("clients", "ended before they said what they found")
    tally = Tally(**orjson.loads(told))
    after = _counted(plan.port)
    coalesced, dropped = (
        sum(after[k] - before[k] for k in after if what in k) for what in ("coalesced", "dropped")
    )
    _check(plan, tally)
    return Found(plan, tally, adding, cores, _peak_mb(pid), coalesced, dropped)


@contextmanager
def _process(module: str, plan: Plan) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", module, plan.text()]
    path = os.pathsep.join([str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    env = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.terminate()


def _line(process: "subprocess.Popen[str]") -> str:
    return process.stdout.readline() if process.stdout else ""


def _check(plan: Plan, tally: Tally) -> None:
    measured = plan.rounds - plan.skipped
    wanted = plan.clients * measured
    if tally.faults or len(tally.events) != wanted:
        report = f"{len(tally.events)} of {wanted} came to {plan.clients} clients"
        raise PushError(tally.faults or ["some are missing"], report)


def _counted(port: int) -> dict[str, float]:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    found: list[Any] = _COUNTER.findall(text)
    return {name + labels: float(value) for name, labels, value in found}


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _rows(alone: Found, beside: Found | None = None) -> list[Row]:
    plan = alone.plan
    label = f"push to {plan.clients} by {plan.transport}"
    measured = plan.rounds - plan.skipped
    took = measured / plan.rate
    each = len(alone.tally.events) / plan.clients / took
    rows = [
        Row(f"{label}, events per client", each, "/s", against="each once, in order"),
        Row(f"{label}, values per client", len(alone.tally.values) / plan.clients / took, "/s"),
        Row(f"{label}, frames", alone.tally.frames / took, "/s"),
        Row(f"{label}, adding to Redis, max", max(alone.adding), "ms", against="part of delays"),
        *_delays(f"{label}, events", alone.tally.events),
        *_delays(f"{label}, values", alone.tally.values),
        Row(f"{label}, CPU of the API", alone.cores, "cores", _CORES, at_most=True),
        Row(f"{label}, peak memory of the API", alone.peak_mb, "MiB"),
        Row(f"{label}, values coalesced", alone.coalesced, "",
            against=f"{alone.dropped:g} dropped"),
    ]  # fmt: skip
    return rows if beside is None else [*rows, *_beside(label, alone, beside)]


def _beside(label: str, alone: Found, beside: Found) -> list[Row]:
    label = f"{label} beside {beside.plan.stalled} stalled"
    return [
        Row(f"{label}, adding to Redis, max", max(beside.adding), "ms", against="part of delays"),
        *_delays(f"{label}, events", beside.tally.events, alone.tally.events),
        *_delays(f"{label}, values", beside.tally.values, alone.tally.values),
        Row(f"{label}, CPU of the API", beside.cores, "cores", _CORES, at_most=True,
            against=f"{beside.cores / alone.cores:.2f} of without"),
        Row(f"{label}, peak memory of the API", beside.peak_mb, "MiB",
            against=f"{beside.peak_mb - alone.peak_mb:+.1f}"),
        Row(f"{label}, values coalesced", beside.coalesced, "",
            against=f"{beside.dropped:g} dropped"),
    ]  # fmt: skip


def _delays(label: str, delays: list[float], without: list[float] | None = None) -> list[Row]:
    rows = []
    for name, share, budget in _SHARES:
        value = _at(delays, share)
        against = f"{value / _at(without, share):.2f} of without" if without else ""
        row = Row(f"{label}, {name}", value, "ms", budget, at_most=True, against=against)
        rows.append(row)
    return rows


def _at(delays: list[float], share: float) -> float:
    ordered = sorted(delays)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
