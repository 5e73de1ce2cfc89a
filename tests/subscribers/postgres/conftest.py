"""A PostgreSQL of the tests' own: in a temporary folder, on a Unix socket, not as root."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from subscribers.postgres.database import Database
from subscribers.postgres.faults import Dsn
from tests.subscribers.postgres.server import Postgres

_BINARIES = (*Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr/local/bin"), Path("/usr/bin"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a server that runs."""
    binaries = next((p for p in _BINARIES if (p / "initdb").exists()), None)
    if binaries is None:
        pytest.skip("there is no PostgreSQL server here: apt-get install postgresql")
    user = "nobody" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="ct-pg-"))  # short: it is part of the socket's name
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    server = Postgres(folder, binaries, user)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder)


@pytest.fixture
def fresh(postgres: Postgres) -> Postgres:
    """Return the server without our schema."""
    postgres.do("DROP SCHEMA IF EXISTS cryptotools CASCADE")
    return postgres


@pytest.fixture
def database(fresh: Postgres) -> Iterator[Database]:
    """Return an open database with its tables."""
    found = Database(Dsn(fresh.dsn), "cryptotools", create=True, wait=lambda _: False)
    found.open()
    yield found
    found.close()
