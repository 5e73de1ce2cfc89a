"""Workers and a database that are killed at random: in the end the database equals the lake."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.redis.embedded import ensure, socket_path, stop
from tests.subscribers.postgres.compare import counts
from tests.subscribers.postgres.server import Postgres

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SECONDS = 20.0
KINDS = ("trade", "kline", "signal", "event", "fill", "equity")


def clean_env() -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    return own | {"PYTHONPATH": str(ROOT)}


class Pool:
    """Workers that share a group; each name has one process at a time."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder, self._env = folder, env
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker; what it says goes to a file of its name."""
        command = [sys.executable, "-m", "cli.main", "sink", "postgres", "--name", name]
        with (self._folder / f"{name}.log").open("ab") as log:
            found = subprocess.Popen(
                [*command, "--min-idle", "2", "--batch", "300", *options],
                cwd=self._folder, env=self._env, stdout=log, stderr=log,
            )  # fmt: skip
        self._running[name] = found
        return found

    def kill(self, name: str) -> None:
        """End one as a crash does."""
        found = self._running.pop(name)
        assert found.poll() is None, (self._folder / f"{name}.log").read_text()
        found.kill()
        found.wait()

    def kill_all(self) -> None:
        """End all."""
        for name in list(self._running):
            self.kill(name)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Path]:
    """A flow on a simulated exchange, with its Redis and its lake; stopped by the test."""
    folder = tmp_path / "sim"
    command = [sys.executable, "-m", "cli.main", "up", "--simulate", "--speed", "60"]
    with (tmp_path / "up.log").open("wb") as log:
        flow = subprocess.Popen(
            [*command, "--dir", str(folder)], env=clean_env(), stdout=log, stderr=log
        )
    (tmp_path / "pid").write_text(str(flow.pid))
    end = time.monotonic() + 60
    while not socket_path(folder / "state" / "redis").exists():
        assert time.monotonic() < end, (tmp_path / "up.log").read_text()
        assert flow.poll() is None, (tmp_path / "up.log").read_text()
        time.sleep(0.05)
    yield folder
    if flow.poll() is None:
        flow.send_signal(signal.SIGINT)
        flow.wait(60)
    stop(folder / "state" / "redis")


def end_flow(pid: int, seconds: float = 60.0) -> None:
    os.kill(pid, signal.SIGINT)
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        assert time.monotonic() < end, "the flow does not end"
        time.sleep(0.05)


@pytest.mark.timeout(300)
def test_however_workers_and_the_database_are_killed_it_ends_with_the_rows_of_the_lake(
    fresh: Postgres, sim: Path, tmp_path: Path
) -> None:
    dice = random.Random(20)
    state = sim / "state" / "redis"
    url = f"unix://{socket_path(state)}"
    pool = Pool(tmp_path, clean_env() | {"REDIS_URL": url, "POSTGRES_DSN": fresh.dsn})
    names, kills = ["a", "b"], 0
    until = time.monotonic() + SECONDS
    databases = [until - 2 * SECONDS / 3, until - SECONDS / 3]
    for name in names:
        pool.run(name)
    try:
        while time.monotonic() < until:
            time.sleep(dice.uniform(0.5, 4.0))  # any moment will do
            name = dice.choice(names)
            pool.kill(name)
            kills += 1
            pool.run(name)
            if databases and time.monotonic() > databases[0]:
                del databases[0]
                fresh.kill()
                fresh.start()
        end_flow(int((tmp_path / "pid").read_text()))
        ensure(state)
    finally:
        pool.kill_all()
    last = pool.run("last", "--once")
    assert last.wait(120) == 0, (tmp_path / "last.log").read_text()
    found = counts(fresh.dsn, sim / "lake", KINDS)
    said = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert "Traceback" not in said
    assert fresh.rows("SELECT * FROM cryptotools.missed") == []
    assert kills >= 5
    assert found["trades"] > 1000
    assert all(found[name] > 10 for name in ("klines", "signals", "equity"))
    assert min(found.values()) > 0
