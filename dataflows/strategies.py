"""Steps: final klines → signals. One keyed operator hosts every instance of every strategy.

An instance that looks at several symbols runs in a second step, keyed by a key of its own, to which
the hosts of its symbols send what it needs.

What came in goes out again, each signal behind what caused it: who comes after (the paper
portfolio) sees klines, trades and signals in one order.
"""

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
from core.market.errors import DecimalError, IntervalError, SnapshotError
from core.market.events import Event, InstanceChanged, ModelChanged, StrategyErrored, Told
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.market.ml import Prediction
from core.market.signal import Signal
from core.market.trades import Trades
from dataflows.klines import Glimpse
from dataflows.ml import Out as Seen
from dataflows.pulse import PULSE
from dataflows.resume import anew
from strategies.basket import Basket, ToBasket
from strategies.guard import Guard
from strategies.host import StrategyHost
from strategies.spec import InstanceSpec, Wanted, basket_key
from telemetry import metrics
from telemetry.passage import PASSAGE

Said: TypeAlias = Trades | Kline | Signal | Event
Out: TypeAlias = Said | ToBasket
LOG = logging.getLogger("cryptotools.strategies")

_SECONDS = 1.0
"""Processor time that an instance may take for one call."""

State: TypeAlias = tuple[object, ...] | None


class StrategiesLogic(StatefulBatchLogic[Seen, Out, State]):
    """One instrument's `StrategyHost`."""

    def __init__(self, state: State, *, specs: tuple[InstanceSpec, ...]) -> None:
        self._specs = specs
        self._state = state
        self._host: StrategyHost | None = None

    @telling
    def on_batch(self, values: list[Seen]) -> tuple[list[Out], bool]:
        """Take a batch; of klines only final ones are shown to strategies."""
        out: list[Out] = []
        for item in values:
            out += self._taken(item)
            if self._host is not None:
                out += self._host.sent()
        if PASSAGE and self._host is not None:
            PASSAGE.decided(self._host.key)
        _count(out)
        return out, False

    def _taken(self, item: Seen) -> list[Said]:
        match item:
            case Kline(status=Status.FINAL):
                return [item, *self._host_of(item.key).on_kline(item)]
            case Trades():
                return [*self._host_of(item.key).on_trades(item)]
            case Glimpse():
                return [*self._host_of(item.kline.key).on_forming(item.kline, item.time_us)]
            case Prediction():
                self._host_of(item.key).on_prediction(item)
            case Told():
                return [*self._obey(item)]
            case ModelChanged():
                return []
            case Event():
                return [*self._host_of(item.key).on_event(item)]
        return []

    def snapshot(self) -> State:
        """Return the state as plain values."""
        return self._state if self._host is None else self._host.snapshot()

    def _obey(self, told: Told) -> list[InstanceChanged]:
        if addressee(told.payload) != "strategies":
            return []
        wanted = Wanted.model_validate_json(told.payload)
        fetched: list[Kline] = []
        try:
            by_interval = orjson.loads(told.history) if told.history else {}
            for name, rows in by_interval.items():
                fetched += [from_row(told.key, interval(name), row) for row in rows]
        except (DecimalError, IntervalError, LookupError, TypeError, ValueError) as error:
            LOG.warning("%s: the fetched klines cannot be used: %s", told.key, error)
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


class BasketLogic(StatefulBatchLogic[ToBasket, Said, State]):
    """One `Basket`."""

    def __init__(self, state: State, *, specs: tuple[InstanceSpec, ...]) -> None:
        self._specs = specs
        self._state = state
        self._basket: Basket | None = None

    @telling
    def on_batch(self, values: list[ToBasket]) -> tuple[list[Said], bool]:
        """Take what hosts send."""
        out: list[Said] = []
        for item in values:
            out += self._basket_of(item).take(item.item)
        _count(out)
        return out, False

    def snapshot(self) -> State:
        """Return the state as plain values."""
        return self._state if self._basket is None else self._basket.snapshot()

    def _basket_of(self, item: ToBasket) -> Basket:
        if self._basket is None:
            self._basket = self._made(item)
            if self._state is not None:
                try:
                    self._basket.restore(self._state)
                except SnapshotError as error:
                    anew("baskets", error)
                    self._basket = self._made(item)
            PULSE.hosts[item.basket] = self._basket
        return self._basket

    def _made(self, item: ToBasket) -> Basket:
        own = (s for s in self._specs if s.legs and basket_key(item.item.key, s) == item.basket)
        return Basket(item.basket, next(own, None), guard=_guard())


_OWN = threading.local()


def _guard() -> Guard:
    # One for each worker's thread, which runs all hosts of its keys.
    if not hasattr(_OWN, "guard"):
        _OWN.guard = Guard(_SECONDS)
    guard: Guard = _OWN.guard
    return guard


def _count(out: "list[Out] | list[Said]") -> None:
    for said in out:
        if isinstance(said, Signal):
            metrics.SIGNALS.labels(said.strategy).inc()
        elif isinstance(said, StrategyErrored):
            metrics.STRATEGY_ERRORS.labels(said.instance).inc()


def run_strategies(
    klines: KeyedStream[Seen], specs: tuple[InstanceSpec, ...]
) -> Stream[tuple[str, Said]]:
    """Return trades and final klines as they came, and signals (and errors of strategies)."""
    hosted = op.stateful_batch("strategies", klines, partial(StrategiesLogic, specs=specs))
    split = op.branch("legs", hosted, _is_for_a_basket)
    sent = op.map("to_baskets", split.trues, _by_basket)
    apart = op.stateful_batch("baskets", sent, partial(BasketLogic, specs=specs))
    return op.merge("said", split.falses, apart)


def _is_for_a_basket(item: tuple[str, Out]) -> bool:
    return isinstance(item[1], ToBasket)


def _by_basket(item: tuple[str, Out]) -> tuple[str, ToBasket]:
    sent = item[1]
    assert isinstance(sent, ToBasket)
    return sent.basket, sent
