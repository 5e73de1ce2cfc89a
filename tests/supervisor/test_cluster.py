"""A cluster of two real processes one of which raises: the engine hides why, the supervisor not."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from supervisor.cluster import Cluster, Shape
from tests.supervisor.conftest import until

FLOW = """
import sys
from datetime import timedelta
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import TestingSource, TestingSink
from config.engine import engine_options
from config.settings import load
from connectors.shutdown import telling
from dataflows.heartbeat import Heartbeat

class Logic(StatefulBatchLogic):
    @telling
    def on_batch(self, values):
        if 700 in values:
            raise ValueError("seven hundred is too much")
        return values, False

    def snapshot(self):
        return None

settings = load(env={}, dotenv=None, overrides={"state_dir": STATE})
Heartbeat(settings, process=engine_options().process).start()
flow = Dataflow("x")
numbers = op.input("in", flow, TestingSource(range(1000)))
keyed = op.key_on("key", numbers, lambda n: str(n % 7))
op.output("out", op.stateful_batch("work", keyed, lambda state: Logic()), TestingSink([]))
"""


@dataclass(frozen=True, slots=True)
class Own(Shape):
    """The same, of another flow."""

    def commands(self) -> list[list[str]]:
        found = Shape.commands(self)
        return [[str(self.saved) if "dataflows" in w else w for w in command] for command in found]


@pytest.mark.slow
def test_the_root_cause_of_a_cluster_is_told(tmp_path: Path) -> None:
    module = tmp_path / "raising.py"
    module.write_text(FLOW.replace("STATE", repr(str(tmp_path / "state"))))
    shape = Own(module, tmp_path / "state", None, 1, processes=2)
    cluster = Cluster(shape)
    try:
        until(lambda: cluster.first_ended() is not None, 60, "an end")
        cause = cluster.bury(cluster.first_ended() or 0)
    finally:
        cluster.kill()
    assert cause.text.startswith("ValueError: seven hundred is too much (")
    assert "in on_batch" in cause.text
    assert cause.exit_code == 1
