"""Only the raw inputs: source → recording."""

from pathlib import Path

from bytewax import operators as op
from bytewax.dataflow import Dataflow

from config.settings import Settings
from core.market.events import Frame, Item
from dataflows.main import live_source
from dataflows.outputs import recorder


def recording(settings: Settings, path: Path) -> Dataflow:
    """Return the flow that records a live source to a folder."""
    flow = Dataflow("cryptotools-record")
    arrivals = op.input("exchange", flow, live_source(settings))
    frames = op.filter_map("frames", arrivals, _frame)  # (shard, Frame)
    op.output("recording", frames, recorder(path))
    return flow


def _frame(item: tuple[str, Item]) -> tuple[str, Frame] | None:
    key, value = item
    return (key, value) if isinstance(value, Frame) else None
