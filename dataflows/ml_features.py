"""Files → rows of features in a lake, through the very step that a live flow has."""

from dataclasses import replace
from pathlib import Path

from connectors.arrowlog.journal import Journal
from connectors.parquet.config import LakeConfig
from connectors.parquet.sink import LakeSink
from connectors.parquet.writer import LakeWriter
from core.market.errors import ConfigError
from core.market.intervals import interval
from core.market.ml import FeatureRow
from dataflows import engine
from dataflows.klines import KlinePlan
from dataflows.main import Inputs, Work, build
from dataflows.ml import MlPlan
from dataflows.ml_registry import ModelRegistry
from dataflows.outputs import Outputs
from strategies.ml.config import MlConfig
from strategies.ml.features import FeatureSet


def compute(
    inputs: Inputs,
    klines: KlinePlan,
    sets: tuple[FeatureSet, ...],
    lake: LakeConfig,
    *,
    workers: int = 1,
) -> None:
    """Write the rows of these sets, and nothing else, to a lake.

    Args:
        inputs: What to read.
        klines: How klines are built.
        sets: What to compute.
        lake: Where to.
        workers: Threads.

    Raises:
        ConfigError: Klines of a set's interval cannot be built of the input.

    """
    more = tuple(interval(s.interval) for s in sets)
    for of in more:
        if not of.holds(klines.base):
            why = f"klines of {of.name} cannot be folded from those of {klines.base.name}"
            raise ConfigError("ml.features", why)
    klines = replace(klines, intervals=tuple(dict.fromkeys((*klines.intervals, *more))))
    plan = MlPlan(MlConfig(features=sets), {}, ModelRegistry(Path()).load)
    work = Work(klines, (), ml=plan)
    engine.run(build(inputs, work, Outputs({"lake": _RowSink(lake)})), workers=workers)


class _RowSink(LakeSink):
    def __init__(self, config: LakeConfig) -> None:
        super().__init__(config, resumable=False)
        self._own = config

    def _writer(self, journal: Journal, name: str) -> LakeWriter:
        return _RowWriter(self._own, journal)


class _RowWriter(LakeWriter):
    def write(self, record: object) -> None:
        if isinstance(record, FeatureRow):
            super().write(record)
