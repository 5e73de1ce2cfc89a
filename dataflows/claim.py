"""One flow to a state folder and to a recovery store: two would silently lose all state.

    state/lock             whoever runs a flow on the folder, its process id inside
    state/recovery.lock    the same for the store, which may be elsewhere
    …lock.1, …lock.2       further processes of a cluster

A process whose parent holds a lock belongs to it. A lock goes with its process, however that ends.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.durable import explain, make_folder
from core.market.errors import ServiceError


class Claim:
    """A lock that is held; `release`, or the end of the process, gives it back."""

    def __init__(self, file: int) -> None:
        self.file = file

    def release(self) -> None:
        """Give it back."""
        if self.file >= 0:
            os.close(self.file)
        self.file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def state_lock(state_dir: Path) -> Path:
    """Return the lock of a state folder."""
    return state_dir / "lock"


def store_lock(store: Path) -> Path:
    """Return the lock of a recovery store; beside it, because the store may be moved aside."""
    return store.with_name(f"{store.name}.lock")


def claim(lock: Path, process: int = 0) -> Claim:
    """Take a lock for this process.

    Args:
        lock: The file; made when missing.
        process: Number of the process within its cluster.

    Raises:
        ServiceError: Somebody else has it, or it cannot be written.

    """
    path = _own(lock, process)
    try:
        make_folder(path.parent)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise explain(path, error, "state folder") from None
    if not _locked(file):
        holder = _holder(file)
        os.close(file)
        who = f"process {holder}" if alive(holder) else f"what process {holder} started"
        raise ServiceError(
            f"state folder {path.parent}",
            f"{who} runs a flow on it ({path.name})",
            hint="stop that one, or give this flow a `state_dir` of its own",
        )
    os.ftruncate(file, 0)
    os.write(file, b"%d\n" % os.getpid())
    return Claim(file)


def join(lock: Path, process: int = 0) -> tuple[Claim | None, int]:
    """Take a lock, or come under a parent that has it.

    Returns:
        What was taken, and the parent's process id; 0 where no parent has it.

    Raises:
        ServiceError: Somebody else has it.

    """
    parent = os.getppid()
    above = parent if holder_of(lock) == parent else 0
    if above and not process:
        return None, above
    return claim(lock, process), above


def holder_of(lock: Path) -> int:
    """Return the process that has a lock; 0 if none has."""
    try:
        file = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return 0 if _locked(file) else _holder(file)
    finally:
        os.close(file)


def alive(pid: int) -> bool:
    """Say whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _own(lock: Path, process: int) -> Path:
    return lock.with_name(f"{lock.name}.{process}") if process else lock


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: int) -> int:
    told = os.pread(file, 32, 0).strip()
    return int(told) if told.isdigit() else 0
