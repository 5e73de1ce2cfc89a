"""The shape of the flow: no step that nobody reads, stable names, no clash of packages."""

import json
from importlib.metadata import packages_distributions
from pathlib import Path

from bytewax.testing import TestingSource
from bytewax.visualize import to_json

from connectors.parquet.config import LakeConfig
from connectors.parquet.sink import LakeSink
from connectors.recording.sink import RecordingSink
from core.market.intervals import interval
from core.paper.config import PaperConfig
from dataflows.klines import KlinePlan
from dataflows.main import Work, build
from dataflows.outputs import Outputs

ROOT = Path(__file__).parents[2]


def rendered(tmp_path: Path) -> dict[str, list[str]]:
    outputs = Outputs({"lake": LakeSink(LakeConfig(path=tmp_path))}, RecordingSink(tmp_path))
    work = Work(KlinePlan(interval("1m"), (interval("1m"),)), (), PaperConfig())
    flow = build({"exchange": TestingSource([])}, work, outputs)
    graph = json.loads(to_json(flow))
    return {
        step["step_id"]: [source for port in step["inp_ports"] for source in port["from_port_ids"]]
        for step in graph["substeps"]
    }


def test_every_step_but_the_outputs_is_read_by_another(tmp_path: Path) -> None:
    steps = rendered(tmp_path)
    read = {source.rpartition(".")[0] for sources in steps.values() for source in sources}
    unread = {step for step in steps if step not in read}
    assert unread == {"cryptotools.lake", "cryptotools.recording"}


def test_step_names_are_stable_because_snapshots_hang_on_them(tmp_path: Path) -> None:
    assert set(rendered(tmp_path)) == {
        f"cryptotools.{name}"
        for name in (
            "exchange", "arrivals", "built", "raw", "normalize", "klines", "strategies", "legs",
            "to_baskets", "baskets", "said", "signals", "paper", "stored", "records", "lake",
            "recording",
        )
    }  # fmt: skip


def test_our_top_level_packages_clash_with_nobodys() -> None:
    own = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert own == {
        "api", "bench", "cli", "client", "config", "connectors", "core", "dashboard", "dataflows",
        "reports", "simulator", "strategies", "subscribers", "supervisor", "telemetry",
    }  # fmt: skip
    owners = packages_distributions()
    assert all(set(owners.get(name, ["cryptotools"])) == {"cryptotools"} for name in own)
