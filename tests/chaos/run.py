"""Carries a script out: the simulated exchange, Redis and the flow as real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import redis

from connectors.redis.embedded import EmbeddedServer, ensure, stop
from dataflows.engine import store
from dataflows.status import heartbeats
from simulator.config import LimitSettings
from simulator.faults import parse_fault
from simulator.local import Simulator
from simulator.scenarios import scenario
from supervisor.cluster import free_ports
from tests.chaos.script import SPEED, Action, Script

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEBTC")
ROOT = Path(__file__).parents[2]
_STOP_S = 60.0
_PEER_S = 10.0
_CATCH_UP_S = 90.0


def exchange(script: Script) -> Simulator:
    """Return the market of a seed with the script's faults."""
    calm = scenario("calm").settings
    return Simulator(
        calm.model_copy(
            update={
                "market": calm.market.model_copy(update={"seed": script.seed}),
                "speed": SPEED,
                "faults": tuple(parse_fault(text) for text in script.faults),
                "limits": LimitSettings(weight=None, messages=None),
                "overflow": "wait",
            }
        )
    )


class Redis:
    """An embedded server that may die."""

    def __init__(self, folder: Path, fsync: str) -> None:
        self._folder, self._fsync = folder, fsync
        self.server = self.start()

    def start(self) -> EmbeddedServer:
        """Start it, on the data that is there."""
        self.server = ensure(self._folder)
        with redis.Redis.from_url(self.server.url) as client:
            client.config_set("appendfsync", self._fsync)
        return self.server

    def kill(self) -> None:
        """End it as a power cut of the process does."""
        os.kill(self.server.pid, signal.SIGKILL)
        _until(lambda: not _alive(self.server.pid), _PEER_S, "Redis is still there")

    def end(self) -> None:
        """Stop it."""
        stop(self._folder)


class Flow:
    """The main job in one or more processes on one recovery store."""

    def __init__(self, folder: Path, sim: Simulator, redis_url: str, processes: int) -> None:
        self._store = store(folder / "recovery")
        self._log = folder / "flow.log"
        self._sim, self._state = sim, folder / "state"
        self._processes = processes
        self._running: list[subprocess.Popen[bytes]] = []
        self._since_us = self._heard = 0
        self.peak_mib = 0  # of one process, until it was asked to end
        settings = {
            "SYMBOLS": ",".join(SYMBOLS),
            "API__ENABLED": "false",
            "BINANCE__WS_URL": sim.ws_url,
            "BINANCE__REST_URL": sim.rest_url,
            "BINANCE__SHARDS": "2",
            "BINANCE__BACKOFF_BASE": "0.1",
            "KLINES__INTERVALS": "1m,5m",
            "STRATEGIES": (
                '[{"name":"rsi_reversal","params":{"period":2,"oversold":45,"overbought":55}},'
                '{"name":"macd_cross","params":{"fast":2,"slow":3,"signal":2}}]'
            ),
            "REDIS__URL": redis_url,
            "REDIS__KEEP": "10000000",
            "LAKE__PATH": str(folder / "disk" / "lake"),
            "RECORDING__PATH": str(folder / "disk" / "recordings"),
            "STATE_DIR": str(folder / "state"),
            "LOG__LEVEL": "warning",
        }
        own = {f"CRYPTOTOOLS_{name}": value for name, value in settings.items()}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
        self.env = kept | own

    @property
    def pid(self) -> int:
        """Of the first process."""
        return self._running[0].pid

    def start(self) -> None:
        """Start, going on from the last snapshot."""
        self._since_us = self._sim.now_us()
        self._heard = self._log.stat().st_size if self._log.exists() else 0
        ports = free_ports(self._processes)
        addresses = ";".join(f"127.0.0.1:{port}" for port in ports)
        for n in range(self._processes):
            command = [
                sys.executable, "-m", "bytewax.run", "dataflows.main",
                "-r", str(self._store), "-s", "1", "-b", "0",
            ]  # fmt: skip
            if self._processes > 1:
                command += ["-i", str(n), "-a", addresses]
            with self._log.open("ab") as log:
                self._running.append(
                    subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=log, stderr=log)
                )

    def kill(self) -> None:
        """Kill the first process; what remains of a cluster cannot go on and is ended too."""
        self._running[0].kill()
        until = time.monotonic() + _PEER_S
        for process in self._running[1:]:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        for process in self._running:
            process.wait()
        self._running.clear()

    def stop(self) -> list[int]:
        """End gracefully, once all that happened before the start is here; return the exit codes.

        What Redis got from a process that was killed may be ahead of the lake until then.
        """
        _until(self._caught_up, _CATCH_UP_S, "the flow has not caught up")
        for process in self._running:
            self.peak_mib = max(self.peak_mib, _peak_mib(process.pid))
            process.send_signal(signal.SIGTERM)
        try:
            return [process.wait(_STOP_S) for process in self._running]
        finally:
            self.end()

    def _caught_up(self) -> bool:
        self.keep()
        rows = heartbeats(self._state).values()
        if {row["pid"] for row in rows} != {process.pid for process in self._running}:
            return False
        symbols = {key: one for row in rows for key, one in row["symbols"].items()}
        known = [_us(one["known_until"]) for one in symbols.values() if not one["gaps_open"]]
        return len(known) == len(SYMBOLS) and min(known) > self._since_us

    def keep(self) -> None:
        """Start again what found no space; that it ended for another reason is an error."""
        if not self.died():
            return
        if "No space left on device" not in self._log.read_text()[self._heard :]:
            raise AssertionError("the flow ended by itself")
        self.end()
        self.start()

    def died(self) -> bool:
        """Say whether a process has ended by itself."""
        return any(process.poll() is not None for process in self._running)

    def said(self) -> str:
        """Return the end of what it wrote to stderr."""
        return self._log.read_text()[-2000:]

    def end(self) -> None:
        """Leave nothing behind."""
        for process in self._running:
            process.kill()
            process.wait()
        self._running.clear()


class Disk:
    """A small file system of its own, which can be filled up; a folder where it may not be."""

    def __init__(self, folder: Path, *, small: bool = True, mib: int = 64) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir(parents=True)
        self.small = small and mount(folder, mib)

    def fill(self) -> None:
        """Leave no space."""
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * (1 << 20))
            except OSError:
                return

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """End the file system."""
        if self.small:
            subprocess.run(["umount", str(self._folder)], check=True)


def mount(folder: Path, mib: int = 64) -> bool:
    """Mount a small file system at a folder; say whether that was allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class Left:
    """What a run left behind, and with which settings it ran."""

    sim: Simulator
    redis_url: str
    lake: Path
    recordings: Path
    env: dict[str, str]
    peak_mib: int


def left_of(folder: Path, sim: Simulator, server: Redis, flow: Flow) -> Left:
    """Return where everything is."""
    disk = folder / "disk"
    return Left(sim, server.server.url, disk / "lake", disk / "recordings", flow.env, flow.peak_mib)


@contextmanager
def carried_out(script: Script, folder: Path) -> Iterator[Left]:
    """Carry a script out; yield what it left behind."""
    disk = Disk(folder / "disk")
    server = Redis(folder / "redis", script.fsync)
    try:
        with exchange(script) as sim:
            flow = Flow(folder, sim, server.server.url, script.processes)
            try:
                _play(script, flow, server, disk)
                codes = flow.stop()
            finally:
                flow.end()
            if any(codes):
                raise AssertionError(f"the flow ended with {codes}: see {folder / 'flow.log'}")
            yield left_of(folder, sim, server, flow)
    finally:
        server.end()
        disk.unmount()


def _play(script: Script, flow: Flow, server: Redis, disk: Disk) -> None:
    began = time.monotonic()
    flow.start()
    for action in script.actions:
        time.sleep(max(0.0, began + action.at - time.monotonic()))
        _act(action, flow, server, disk)
    while time.monotonic() < began + script.seconds:
        flow.keep()
        time.sleep(0.1)


def _act(action: Action, flow: Flow, server: Redis, disk: Disk) -> None:
    match action.what:
        case "kill flow":
            flow.kill()
            time.sleep(action.lasts)
            flow.start()
        case "stop flow":
            flow.stop()
            time.sleep(action.lasts)
            flow.start()
        case "kill redis":
            server.kill()
            time.sleep(action.lasts)
            server.start()
        case "pause redis":
            os.kill(server.server.pid, signal.SIGSTOP)
            time.sleep(action.lasts)
            os.kill(server.server.pid, signal.SIGCONT)
        case "fill disk":
            _fill(action, flow, disk)


def _fill(action: Action, flow: Flow, disk: Disk) -> None:
    # A flow that finds no space stops in words, sooner or later; with space again it goes on.
    disk.fill()
    time.sleep(action.lasts)
    disk.free()
    flow.keep()


def _peak_mib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    kib = next((ln.split()[1] for ln in status.splitlines() if ln.startswith("VmHWM")), "0")
    return int(kib) // 1024


def _us(iso: str) -> int:
    return round(datetime.fromisoformat(iso).timestamp() * 1_000_000)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"{otherwise} after {seconds:g} s")
        time.sleep(0.05)
