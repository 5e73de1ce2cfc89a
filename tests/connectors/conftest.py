"""Engines for flows over a connector."""

from datetime import timedelta
from pathlib import Path

import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main


class Engine:
    """Runs flows in this process."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers

    def run(self, flow: Dataflow, recovery: Path | None = None) -> None:
        """Run to the end; with `recovery`, snapshot after every batch and go on from the last."""
        config = None
        if recovery is not None and not recovery.exists():
            recovery.mkdir()
            init_db_dir(recovery, 1)
        if recovery is not None:
            config = RecoveryConfig(str(recovery))
        cluster_main(
            flow, [], 0, epoch_interval=timedelta(0), recovery_config=config,
            worker_count_per_proc=self._workers,
        )  # fmt: skip


@pytest.fixture(scope="session")
def one() -> Engine:
    """Return an engine with one worker."""
    return Engine()


@pytest.fixture(scope="session")
def two() -> Engine:
    """Return an engine with two workers."""
    return Engine(2)
