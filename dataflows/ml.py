"""Step: final klines → rows of features and predictions, each right before its kline.

Keyed by instrument. Everything passes, in its order; so who sees a kline has seen what models say
of it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from bytewax import operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from connectors.shutdown import telling
from core.control import addressee
from core.market.errors import SnapshotError
from core.market.events import ModelChanged, Told
from core.market.kline import Kline
from core.market.ml import FeatureRow, Learned, ModelScore, Prediction
from dataflows.klines import Out as KlineOut
from dataflows.resume import anew
from strategies.ml.config import MlConfig
from strategies.ml.host import MlHost
from strategies.ml.host import Out as Said
from strategies.ml.runner import Load
from strategies.ml.wanted import WantedModel
from telemetry import metrics

LOG = logging.getLogger("cryptotools.ml")

Out: TypeAlias = KlineOut | Learned | ModelChanged
State: TypeAlias = tuple[object, ...] | None


@dataclass(frozen=True, slots=True)
class MlPlan:
    """What the step computes.

    Attributes:
        config: Sets of features, and models.
        resolved: By model, the version that the settings mean; empty: none.
        load: Where versions come from.

    """

    config: MlConfig
    resolved: Mapping[str, str]
    load: Load


class MlLogic(StatefulBatchLogic[KlineOut, Out, State]):
    """One instrument's `MlHost`."""

    def __init__(self, state: State, *, plan: MlPlan) -> None:
        self._plan = plan
        self._state = state
        self._host: MlHost | None = None

    @telling
    def on_batch(self, values: list[KlineOut]) -> tuple[list[Out], bool]:
        """Take a batch; hand it on with what there is to say."""
        out: list[Out] = []
        for item in values:
            if isinstance(item, Kline):
                said = self._host_of(item.key).on_kline(item)
                _count(said)
                out += said
            elif isinstance(item, Told) and addressee(item.payload) == "ml":
                wanted = WantedModel.model_validate_json(item.payload)
                out += self._host_of(item.key).want(wanted, item.time_us)
                continue
            out.append(item)
        return out, False

    def snapshot(self) -> State:
        """Return the state as plain values."""
        return self._state if self._host is None else self._host.snapshot()

    def _host_of(self, key: str) -> MlHost:
        if self._host is None:
            self._host = self._made(key)
            if self._state is not None:
                try:
                    self._host.restore(self._state)
                except SnapshotError as error:
                    anew("ml", error)
                    self._host = self._made(key)
        return self._host

    def _made(self, key: str) -> MlHost:
        plan = self._plan
        return MlHost(key, plan.config, plan.resolved, plan.load)


def run_ml(klines: KeyedStream[KlineOut], plan: MlPlan) -> Stream[tuple[str, Out]]:
    """Return the same items with rows and predictions among them, keyed as before."""
    return op.stateful_batch("ml", klines, partial(MlLogic, plan=plan))


def _count(said: list[Said]) -> None:
    for record in said:
        if isinstance(record, FeatureRow):
            metrics.FEATURE_ROWS.labels(record.features).inc()
        elif isinstance(record, Prediction):
            state = "shadow" if record.shadow else "none" if record.value is None else "said"
            metrics.PREDICTIONS.labels(record.model, state).inc()
        elif isinstance(record, ModelScore):
            _show(record)


def _show(score: ModelScore) -> None:
    head = (score.key, score.model, score.version)
    for metric in ("accuracy", "baseline", "error", "ic"):
        value = getattr(score, metric)
        if value is not None:
            metrics.MODEL_QUALITY.labels(*head, metric).set(value)
    for feature, value in score.psi:
        metrics.MODEL_DRIFT.labels(*head, feature).set(value)
