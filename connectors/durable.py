"""Files that are whole or not there: written beside their place, synced, then renamed.

A crash leaves at most a hidden ``.<name>.tmp``, which every reader ignores. It is locked while
somebody writes it, so that `clean` takes only what the dead left behind.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from tempfile import TemporaryFile

from core.market.errors import ServiceError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def publish(path: Path, data: bytes | memoryview, *, service: str) -> None:
    """Make `data` the content of `path`, replacing what is there, in one step that lasts.

    Args:
        path: The file; missing folders are made.
        data: Its content.
        service: Who writes, for the error: ``lake``, ``recording``.

    Raises:
        ServiceError: The disk is full or the folder cannot be written.

    """
    hidden = path.with_name(f".{path.name}.tmp")
    try:
        make_folder(path.parent)
        _write(hidden, data)
        hidden.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise explain(path, error, service) from error


def usable(folder: Path, *, service: str) -> None:
    """Make a folder that somebody will write to, so that a wrong one is found before the start.

    Raises:
        ServiceError: It cannot be made or written.

    """
    try:
        make_folder(folder)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise explain(folder, error, service) from None


def clean(root: Path) -> int:
    """Remove what writers that died left behind below `root`; return how many files."""
    removed = 0
    for folder, _, names in os.walk(root):
        for name in names:
            if name.startswith(".") and name.endswith(".tmp"):
                removed += _remove_dead(Path(folder, name))
    return removed


def _write(path: Path, data: bytes | memoryview) -> None:
    file = _open_locked(path)
    try:
        os.ftruncate(file, 0)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:
        # Half a file is of no use, and its space may be what is missing.
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(file)


def _open_locked(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between open and lock somebody may have cleaned it away: then it has no name.
            if os.fstat(file).st_nlink:
                return file
        except OSError:
            os.close(file)
            raise
        os.close(file)


def _remove_dead(path: Path) -> bool:
    with contextlib.suppress(OSError):  # alive, gone, or not ours: none is a reason to stop
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(file)
        return True
    return False


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they last."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last: what was made, renamed or removed."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def explain(path: Path, error: OSError, service: str) -> ServiceError:
    """Return what to raise when a file cannot be written: names it and the way out."""
    why = f"cannot write {path}: {error.strerror}"
    if error.errno in _FULL:
        hint = "free some space, or choose another folder, and start again"
    elif error.errno in {errno.EAGAIN, errno.EACCES} and error.filename is None:
        hint = "another process writes the same file: give each flow its own folder"
    else:
        hint = "make the folder writable, or choose another one"
    return ServiceError(service, why, hint=hint)
