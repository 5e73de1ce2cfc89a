"""A simulated exchange, and the command line on it as real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from connectors.redis.embedded import stop
from dataflows.claim import alive
from simulator.config import LimitSettings
from simulator.local import Simulator
from simulator.scenarios import scenario

ROOT = Path(__file__).parents[2]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
RATES = {"BTCUSDT": 1200.0, "ETHUSDT": 600.0, "SOLUSDT": 200.0}


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:  # noqa: ANN401 - its own
    """Wait for something to come about; return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} does not come about within {seconds:g} s")
        time.sleep(0.05)
    return found


class Job:
    """`cryptotools` in a folder, with settings for a simulator."""

    def __init__(self, folder: Path, sim: Simulator | None, **more: str) -> None:
        self.folder = folder
        settings = {"SYMBOLS": ",".join(SYMBOLS), "RECOVERY__SNAPSHOT_SECONDS": "1",
                    "API__ENABLED": "false"}  # fmt: skip
        if sim is not None:
            settings |= {"BINANCE__WS_URL": sim.ws_url, "BINANCE__REST_URL": sim.rest_url,
                         "BINANCE__BACKOFF_BASE": "0.1"}  # fmt: skip
        settings |= more
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
        self.env = kept | {f"CRYPTOTOOLS_{k}": v for k, v in settings.items()}
        self.env["PYTHONPATH"] = str(ROOT)
        self.log = folder / "log"
        self.started: list[subprocess.Popen[bytes]] = []
        self.pids: set[int] = set()

    def start(self, *options: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a command in the background."""
        env = self.env | {f"CRYPTOTOOLS_{k}": v for k, v in more.items()}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *options], cwd=self.folder, env=env,
                stdout=log, stderr=log,
            )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, *options: str, **more: str) -> tuple[int, str]:
        """Run a command to its end; return its exit code and what it said."""
        before = self.log.stat().st_size if self.log.exists() else 0
        code = self.start(*options, **more).wait(60)
        return code, self.log.read_text()[before:]

    def status(self) -> dict[str, Any]:
        """Return what `cryptotools status --json` reads, and note the processes."""
        from dataflows.status import read_status

        found = read_status(self.folder / "state").as_dict()
        self.pids |= {row["pid"] for row in found["processes"].values()}
        return found

    def well(self, seconds: float = 30.0, **wanted: int) -> dict[str, Any]:
        """Wait until the flow is well, and has a snapshot and what is wanted."""

        def look() -> dict[str, Any] | None:
            found = self.status()
            turned = all(row["snapshots"] for row in found["processes"].values() if row["links"])
            traded = [one for one in found["symbols"].values() if one["last_id"] is not None]
            ready = found["well"] and turned and len(traded) == len(SYMBOLS)
            return found if ready and all(found[k] == v for k, v in wanted.items()) else None

        try:
            found: dict[str, Any] = until(look, seconds, "a flow that is well")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.status()} {self.said()}") from None
        return found

    def end(self, process: subprocess.Popen[bytes], seconds: float = 30.0) -> int:
        """Send SIGTERM; return the exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(seconds)

    def said(self) -> str:
        """Return all that was printed."""
        return self.log.read_text() if self.log.exists() else ""

    def clean(self) -> None:
        """Leave no process behind."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        stop(self.folder / "state" / "redis")


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    made: list[Job] = []

    def make(sim: Simulator | None, **more: str) -> Job:
        made.append(Job(tmp_path, sim, **more))
        return made[-1]

    yield make
    for one in made:
        one.clean()


@pytest.fixture
def busy() -> Iterator[Simulator]:
    """About 2,000 trades per second in three symbols."""
    calm = scenario("calm").settings
    market = calm.market.model_copy(
        update={
            "symbols": tuple(
                s.model_copy(update={"rate": RATES[s.symbol]})
                for s in calm.market.symbols
                if s.symbol in RATES
            ),
            "history": 2.0,
        }
    )
    limits = LimitSettings(weight=None, messages=None)
    with Simulator(calm.model_copy(update={"market": market, "limits": limits})) as sim:
        yield sim


@pytest.fixture(scope="module")
def calm() -> Iterator[Simulator]:
    with Simulator(scenario("calm").settings.model_copy(update={"speed": 10.0})) as sim:
        yield sim


def lake_rows(lake: Path, kind: str, symbol: str, *, interval: str = "") -> list[dict[str, Any]]:
    name = symbol.replace("+", "%2B").replace("~", "%7E")
    folder = lake / kind / "exchange=binance" / f"symbol={name}"
    folder = folder / f"interval={interval}" if interval else folder
    return [
        row
        for path in sorted(folder.rglob("part-*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]


def micros(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def assert_contiguous(lake: Path) -> int:
    """Check that no id is missing or doubled; return how many rows there are."""
    total = 0
    for symbol in SYMBOLS:
        ids = [row["id"] for row in lake_rows(lake, "trades", symbol)]
        assert ids, symbol
        assert ids == list(range(ids[0], ids[0] + len(ids))), symbol
        total += len(ids)
    return total


def dead(pids: set[int]) -> bool:
    return not any(_running(pid) for pid in pids)


def _running(pid: int) -> bool:
    if not alive(pid):
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def facts(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
