"""Runs a flow on Bytewax in this process, with or without snapshots."""

from datetime import timedelta
from pathlib import Path

from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from connectors.shutdown import FIRST
from core.market.errors import CryptoToolsError, ServiceError

PARTITIONS = 8
"""Files of a recovery store, fixed when it is made: workers above this number have none to write,
and each file costs a little at every snapshot."""

BACKUP_S = 0
"""How long the engine keeps old snapshots: not at all. The logs of lake and recording reach back
three snapshots, so older ones could not be gone on from."""


def run(
    flow: Dataflow,
    *,
    workers: int = 1,
    recovery: Path | None = None,
    snapshot_every: timedelta = timedelta(seconds=10),
) -> None:
    """Run until the input ends. With `recovery`, go on where the last snapshot stood.

    Raises:
        CryptoToolsError: What a source, a step or a sink could not do.

    """
    config = (
        None
        if recovery is None
        else RecoveryConfig(str(store(recovery)), timedelta(seconds=BACKUP_S))
    )
    FIRST.clear()
    try:
        cli_main(
            flow,
            workers_per_process=workers,
            epoch_interval=snapshot_every,
            recovery_config=config,
        )
    except BytewaxRuntimeError as error:
        if isinstance(error.__cause__, CryptoToolsError):
            raise error.__cause__ from None  # it says what is wrong; where in the engine says less
        raise


def store(path: Path) -> Path:
    """Return a recovery store, made once: making it again would be an error of the engine's."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError(f"recovery store {path}", str(error.strerror)) from None
    if not any(path.glob("part-*.sqlite3")):
        init_db_dir(path, PARTITIONS)
    return path
