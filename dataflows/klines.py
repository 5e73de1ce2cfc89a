"""Step: trades and ticks → final klines, and, live, the forming ones as they stand.

Keyed by instrument. Forming klines are conflated: at most one set per `forming_us` of data time,
none in a replay; what is final never depends on them.

Strategies that ask for more get it at its place among the klines (`KlinePlan.passes`): the trades
themselves, cut where klines end; what is wrong with the data; and a `Glimpse` of what is forming.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from bytewax import operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from connectors.shutdown import telling
from core.audit import KlineAudit
from core.klines import KlineBuilder
from core.market.errors import SnapshotError
from core.market.events import (
    ExchangeKline,
    Gap,
    GapOpened,
    GapRepaired,
    Item,
    KlineGap,
    KlineMismatch,
    Late,
    Stale,
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
from telemetry.passage import PASSAGE

LOG = logging.getLogger("cryptotools.klines")

_GLIMPSE_US = 1_000_000
_HEAD = "klines-step-1"


@dataclass(frozen=True, slots=True)
class Glimpse:
    """An unfinished kline with all trades before a time, which is a whole second.

    It comes before anything later. Unlike the forming klines that are published, it is the same
    in every run over the same trades.
    """

    kline: Kline
    time_us: int


Quality: TypeAlias = Gap | GapOpened | GapRepaired | KlineGap | Stale | StatusChanged
Built: TypeAlias = Kline | Late | KlineMismatch
Out: TypeAlias = Built | Told | Trades | Glimpse | Quality
"""All but what was built is for who comes after, at its place among the klines."""
State: TypeAlias = tuple[object, ...] | None


@dataclass(frozen=True, slots=True)
class KlinePlan:
    """What the step builds."""

    base: Interval
    intervals: tuple[Interval, ...]
    grace_us: int = 1_000_000
    empty: Literal["carry", "skip"] = "carry"
    forming_us: int = 0
    passes: frozenset[str] = frozenset()
    """What strategies ask for: ``trades``, ``forming``, ``quality``."""


class KlinesLogic(StatefulBatchLogic[Item, Out, State]):
    """One instrument's `KlineBuilder` and the audit of what it builds."""

    def __init__(self, state: State, *, plan: KlinePlan) -> None:
        self._plan = plan
        self._builder: KlineBuilder | None = None
        self._audit = KlineAudit()
        self._audit_positions = Positions()
        self._forming_positions = Positions()
        self._watermark_us = 0
        self._shown_us = 0
        self._seen_us = 0
        self._due_us = 0  # time of the next glimpse; 0: nothing was traded since the last
        self._glimpsing = "forming" in plan.passes
        if state is not None:
            self._resume(state)

    @telling
    def on_batch(self, values: list[Item]) -> tuple[list[Out], bool]:
        """Take a batch of items."""
        out: list[Out] = []
        for item in values:
            if isinstance(item, Trades) and len(item):
                out += self._glimpsed(item) if self._glimpsing else self._traded(item)
                if PASSAGE:
                    PASSAGE.built(item.key, int(item.id[-1]))
            elif isinstance(item, Tick):
                if PASSAGE:
                    PASSAGE.built(item.key, None)
                out += self._glimpses(item.time_us)
                out += self._final(self._builder_of(item.key).on_tick(item.time_us))
                self._watermark_us = max(self._watermark_us, item.time_us)
            else:
                out += self._other(item)
        return out + self._forming(), False

    def _traded(self, trades: Trades) -> list[Out]:
        out: list[Out] = []
        for piece in self._pieces(trades):
            final = self._final(self._builder_of(piece.key).on_trades(piece))
            out += _interleaved(piece, final) if "trades" in self._plan.passes else final
            self._watermark_us = max(self._watermark_us, int(piece.time_us.max()))
        return out

    def _pieces(self, trades: Trades) -> Iterable[Trades]:
        # So that each thing that is built or passed on has its place among the trades.
        if "trades" not in self._plan.passes:
            return [trades]
        reached = np.maximum.accumulate(np.append(self._watermark_us, trades.time_us[:-1]))
        late = trades.time_us < reached
        if not late.any():
            return [trades]
        edges = np.flatnonzero(late | np.append(False, late[:-1]))
        bounds = pairwise([0, *edges.tolist(), len(trades)])
        return [trades.take(slice(a, b)) for a, b in bounds if b > a]

    def _glimpsed(self, trades: Trades) -> list[Out]:
        out: list[Out] = []
        while len(trades):
            first_us = int(trades.time_us[0])
            out += self._glimpses(first_us)
            self._seen_us = max(self._seen_us, first_us)
            self._due_us = (self._seen_us // _GLIMPSE_US + 1) * _GLIMPSE_US
            over = trades.time_us >= self._due_us
            end = int(over.argmax()) if over.any() else len(trades)
            out += self._traded(trades.take(slice(end)))
            trades = trades.take(slice(end, None))
        return out

    def _glimpses(self, time_us: int) -> list[Out]:
        at_us = self._due_us
        if not at_us or time_us < at_us or self._builder is None:
            return []
        self._due_us = 0
        return [Glimpse(k, at_us) for k in self._builder.forming() if k.close_us >= at_us]

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
        return [item] if isinstance(item, Quality) and "quality" in self._plan.passes else []

    def snapshot(self) -> State:
        """Return the state as plain values."""
        if self._builder is None:
            return None
        times = self._watermark_us, self._seen_us, self._due_us
        return _HEAD, self._builder.snapshot(), times

    def _resume(self, state: tuple[object, ...]) -> None:
        match state:
            case (head, tuple(builder), (int(watermark), int(seen), int(due))) if head == _HEAD:
                self._builder = self._restored(builder)
                self._watermark_us, self._seen_us, self._due_us = watermark, seen, due
            case _:
                raise SnapshotError("klines", state[0] if state else None, _HEAD)

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


def _interleaved(trades: Trades, built: list[Out]) -> list[Out]:
    # A kline stands before the first trade behind its end, whatever came in the same batch.
    real = trades.is_trade
    rows = trades if real.all() else trades.take(real)
    if not any(isinstance(item, Kline) for item in built):
        return [*built, rows] if len(rows) else built
    reached = np.maximum.accumulate(rows.time_us)
    out: list[Out] = []
    at = 0
    for item in built:
        if isinstance(item, Kline) and not item.revision:
            end = int(reached.searchsorted(item.close_us, side="right"))
            if end > at:
                out.append(rows.take(slice(at, end)))
                at = end
        out.append(item)
    return [*out, rows.take(slice(at, None))] if at < len(rows) else out


def build_klines(items: KeyedStream[Item], plan: KlinePlan) -> Stream[tuple[str, Out]]:
    """Return klines (and what is to be said about them), keyed as before."""
    return op.stateful_batch("klines", items, resumed("klines", partial(KlinesLogic, plan=plan)))
