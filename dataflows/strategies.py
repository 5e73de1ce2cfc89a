"""Step: final klines → signals. One keyed operator hosts every instance of every strategy."""

import logging
import threading
from functools import partial
from typing import TypeAlias

import orjson
from bytewax import operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from connectors.shutdown import telling
from core.control import addressee
from core.exchange.official import from_row
from core.market.errors import DecimalError, SnapshotError
from core.market.events import InstanceChanged, StrategyErrored, Told
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.market.ml import Prediction
from core.market.signal import Signal
from dataflows.ml import Out as Seen
from dataflows.pulse import PULSE
from dataflows.resume import anew
from strategies.guard import Guard
from strategies.host import StrategyHost
from strategies.spec import InstanceSpec, Wanted
from telemetry import metrics

Out: TypeAlias = Signal | StrategyErrored | InstanceChanged
LOG = logging.getLogger("cryptotools.strategies")

_SECONDS = 1.0
"""Processor time that an instance may take for one kline."""

State: TypeAlias = tuple[object, ...] | None


class StrategiesLogic(StatefulBatchLogic[Seen, Out, State]):
    """One instrument's `StrategyHost`."""

    def __init__(self, state: State, *, specs: tuple[InstanceSpec, ...]) -> None:
        self._specs = specs
        self._state = state
        self._host: StrategyHost | None = None

    @telling
    def on_batch(self, values: list[Seen]) -> tuple[list[Out], bool]:
        """Take a batch; only final klines are shown to strategies."""
        out: list[Out] = []
        for item in values:
            if isinstance(item, Kline):
                if item.status is Status.FINAL:
                    out += self._host_of(item.key).on_kline(item)
            elif isinstance(item, Prediction):
                self._host_of(item.key).on_prediction(item)
            elif isinstance(item, Told):
                out += self._obey(item)
        _count(out)
        return out, False

    def snapshot(self) -> State:
        """Return the state as plain values."""
        return self._state if self._host is None else self._host.snapshot()

    def _obey(self, told: Told) -> list[InstanceChanged]:
        if addressee(told.payload) != "strategies":
            return []
        wanted = Wanted.model_validate_json(told.payload)
        rows = orjson.loads(told.history).get(wanted.spec.interval, []) if told.history else []
        of = interval(wanted.spec.interval)
        try:
            fetched = [from_row(told.key, of, row) for row in rows]
        except (DecimalError, LookupError, TypeError, ValueError) as error:
            LOG.warning("%s: the fetched klines cannot be used: %s", told.key, error)
            fetched = []
        return self._host_of(told.key).want(wanted, fetched, told.time_us)

    def _host_of(self, key: str) -> StrategyHost:
        if self._host is None:
            self._host = StrategyHost(key, self._specs, guard=_guard())
            if self._state is not None:
                self._host = self._resumed(self._host, self._state)
            PULSE.hosts[key] = self._host
        return self._host

    def _resumed(self, host: StrategyHost, state: tuple[object, ...]) -> StrategyHost:
        try:
            host.restore(state)
        except SnapshotError as error:
            anew("strategies", error)
            return StrategyHost(host.key, self._specs, guard=_guard())
        return host


def _count(out: list[Out]) -> None:
    for said in out:
        if isinstance(said, Signal):
            metrics.SIGNALS.labels(said.strategy).inc()
        elif isinstance(said, StrategyErrored):
            metrics.STRATEGY_ERRORS.labels(said.instance).inc()


_OWN = threading.local()


def _guard() -> Guard:
    # One for each worker's thread, which runs all hosts of its keys.
    if not hasattr(_OWN, "guard"):
        _OWN.guard = Guard(_SECONDS)
    guard: Guard = _OWN.guard
    return guard


def run_strategies(
    klines: KeyedStream[Seen], specs: tuple[InstanceSpec, ...]
) -> Stream[tuple[str, Out]]:
    """Return signals (and errors of strategies), keyed as before."""
    return op.stateful_batch("strategies", klines, partial(StrategiesLogic, specs=specs))
