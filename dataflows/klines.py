"""Step: trades and ticks → final klines, and, live, the forming ones as they stand.

Keyed by instrument. Forming klines are conflated: at most one set per `forming_us` of data time,
none in a replay; what is final never depends on them.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

from bytewax import operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from connectors.shutdown import telling
from core.audit import KlineAudit
from core.klines import KlineBuilder
from core.market.events import (
    ExchangeKline,
    Gap,
    Item,
    KlineMismatch,
    Late,
    StatusChanged,
    Tick,
    Told,
)
from core.market.intervals import Interval
from core.market.kline import Kline, Status
from core.market.position import Positions
from core.market.trades import Trades
from dataflows.resume import resumed
from telemetry import metrics

LOG = logging.getLogger("cryptotools.klines")

Built: TypeAlias = Kline | Late | KlineMismatch
Out: TypeAlias = Built | Told
"""A `Told` is for who comes after, at its place among the klines."""
State: TypeAlias = tuple[object, ...] | None


@dataclass(frozen=True, slots=True)
class KlinePlan:
    """What the step builds."""

    base: Interval
    intervals: tuple[Interval, ...]
    grace_us: int = 1_000_000
    empty: Literal["carry", "skip"] = "carry"
    forming_us: int = 0


class KlinesLogic(StatefulBatchLogic[Item, Out, State]):
    """One instrument's `KlineBuilder` and the audit of what it builds."""

    def __init__(self, state: State, *, plan: KlinePlan) -> None:
        self._plan = plan
        self._builder = None if state is None else self._restored(state)
        self._audit = KlineAudit()
        self._audit_positions = Positions()
        self._forming_positions = Positions()
        self._watermark_us = 0
        self._shown_us = 0

    @telling
    def on_batch(self, values: list[Item]) -> tuple[list[Out], bool]:
        """Take a batch of items."""
        out: list[Out] = []
        for item in values:
            if isinstance(item, Trades) and len(item):
                out += self._final(self._builder_of(item.key).on_trades(item))
                self._watermark_us = max(self._watermark_us, int(item.time_us[-1]))
            elif isinstance(item, Tick):
                out += self._final(self._builder_of(item.key).on_tick(item.time_us))
                self._watermark_us = max(self._watermark_us, item.time_us)
            else:
                out += self._other(item)
        return out + self._forming(), False

    def _other(self, item: Item) -> list[Out]:
        match item:
            case Gap():
                self._builder_of(item.key).on_gap(item)
            case StatusChanged():
                self._builder_of(item.key).on_status(item.status)
            case Kline():
                return self._final(self._builder_of(item.key).on_kline(item))
            case ExchangeKline():
                return self._differs(item.kline, self._audit.theirs(item.kline))
            case Told():
                return [item]
        return []

    def snapshot(self) -> State:
        """Return the state as plain values."""
        return None if self._builder is None else self._builder.snapshot()

    def _restored(self, state: tuple[object, ...]) -> KlineBuilder | None:
        found = KlineBuilder.restore(state)
        if (found.base, set(found.intervals)) == (self._plan.base, set(self._plan.intervals)):
            return found
        # Other intervals were set since: their windows begin anew, and say so (`complete`).
        LOG.warning("%s: the intervals have changed, klines begin anew", found.key)
        return None

    def _builder_of(self, key: str) -> KlineBuilder:
        if self._builder is None:
            plan = self._plan
            self._builder = KlineBuilder(
                key,
                base=plan.base,
                intervals=plan.intervals,
                grace_us=plan.grace_us,
                empty=plan.empty,
            )
        return self._builder

    def _final(self, built: list[Kline | Late]) -> list[Out]:
        out: list[Out] = []
        for item in built:
            out.append(item)
            if isinstance(item, Kline):
                metrics.KLINES.labels(item.key, item.interval.name).inc()
                out += self._differs(item, self._audit.ours(item))
        return out

    def _differs(self, kline: Kline, detail: str) -> list[Out]:
        if not detail:
            return []
        metrics.KLINE_MISMATCHES.labels(kline.key).inc()
        at = self._audit_positions.at(kline.close_us)
        name = kline.interval.name
        return [KlineMismatch(kline.key, kline.close_us, at, name, kline.open_us, detail)]

    def _forming(self) -> list[Out]:
        every = self._plan.forming_us
        if not every or self._builder is None or self._watermark_us - self._shown_us < every:
            return []
        self._shown_us = self._watermark_us
        at = self._forming_positions.at
        return [
            replace(kline, status=Status.FORMING, seq=at(self._watermark_us))
            for kline in self._builder.forming()
        ]


def build_klines(items: KeyedStream[Item], plan: KlinePlan) -> Stream[tuple[str, Out]]:
    """Return klines (and what is to be said about them), keyed as before."""
    return op.stateful_batch("klines", items, resumed("klines", partial(KlinesLogic, plan=plan)))
