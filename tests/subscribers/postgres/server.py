"""A PostgreSQL server that tests start and kill."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg


class Postgres:
    """One server; `start` and `kill` as often as a test likes."""

    def __init__(self, folder: Path, binaries: Path, user: str | None) -> None:
        self._folder, self._binaries, self._user = folder, binaries, user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Of its only database."""
        return f"postgresql://tests@/postgres?host={self._folder}&password=s3cret"

    def make(self) -> None:
        """Make its files."""
        self._run("initdb", "-D", str(self._folder / "data"), "-U", "tests", "-A", "trust", "-N")

    def start(self) -> None:
        """Run it, and wait until it answers."""
        command = [
            str(self._binaries / "postgres"), "-D", str(self._folder / "data"),
            "-k", str(self._folder), "-h", "", "-F", "-c", "max_connections=20",
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self._folder
            )
        end = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=2).close()
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self._folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        # Its children notice by themselves; the next one needs what they hold.
        end = time.monotonic() + 30
        while time.monotonic() < end and self._children():
            time.sleep(0.02)

    def end(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query gives."""
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query.encode()).fetchall()

    def do(self, statement: str) -> None:
        """Execute statements."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _children(self) -> list[str]:
        told = subprocess.run(
            ["pgrep", "-f", f"postgres.*{self._folder}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return told.stdout.split()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            capture_output=True, text=True, check=False, user=self._user, cwd=self._folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
