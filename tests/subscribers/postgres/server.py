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
        end = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < end, (self._folder / "log").read_text()
            # What a dead one's children hold is free once they have noticed.
            if self._process is None or self._process.poll() is not None:
                self._launch()
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash does; its children notice by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

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

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            psycopg.connect(self.dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> None:
        command = [
            str(self._binaries / "postgres"), "-D", str(self._folder / "data"),
            "-k", str(self._folder), "-h", "", "-F", "-c", "max_connections=20",
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self._folder
            )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            capture_output=True, text=True, check=False, user=self._user, cwd=self._folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
