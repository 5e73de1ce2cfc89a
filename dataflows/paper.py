"""Step: signals and prices → fills and equity. One keyed operator holds all accounts."""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any, TypeAlias

from bytewax import operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from connectors.shutdown import telling
from core.market.events import Event, InstanceChanged
from core.market.intervals import Interval
from core.market.kline import Kline
from core.market.paper import Equity, Fill
from core.market.signal import Signal
from core.market.trades import Trades
from core.paper.config import PaperConfig
from core.paper.portfolio import Notice, Portfolio, Row
from dataflows.resume import resumed
from telemetry import metrics

LOG = logging.getLogger("cryptotools.paper")

Said: TypeAlias = Trades | Kline | Signal | Event
"""What strategies pass on, in the order of the data: each kline before the signals it caused."""

State: TypeAlias = tuple[Any, ...] | None


class PaperLogic(StatefulBatchLogic[Said, Row, State]):
    """One instrument's `Portfolio`."""

    def __init__(self, state: State, *, config: PaperConfig, total: str) -> None:
        self._config, self._total = config, total
        self._portfolio = None if state is None else Portfolio.restore(state, config, total)
        self._told: set[tuple[str, str]] = set()

    @telling
    def on_batch(self, values: list[Said]) -> tuple[list[Row], bool]:
        """Take a batch of what was said."""
        out: list[Row] = []
        for item in values:
            out += self._taken(item)
        for row in out:
            if isinstance(row, Fill):
                metrics.PAPER_FILLS.labels(row.strategy).inc()
        return out, False

    def snapshot(self) -> State:
        """Return the state as plain values."""
        return None if self._portfolio is None else self._portfolio.snapshot()

    def _taken(self, item: Said) -> Iterable[Row]:
        portfolio = self._portfolio
        if portfolio is None:
            portfolio = self._portfolio = Portfolio(item.key, self._config, self._total)
        match item:
            case Kline():
                rows = portfolio.on_kline(item)
            case Trades():
                rows = portfolio.on_trades(item)
            case Signal():
                portfolio.on_signal(item)
                return ()
            case InstanceChanged(state="removed"):
                portfolio.on_removed(item.instance, item.time_us)
                return ()
            case _:
                return ()
        if portfolio.notices:
            self._tell(item.key, portfolio.notices)
        return rows

    def _tell(self, key: str, notices: list[Notice]) -> None:
        for notice in notices:
            metrics.PAPER_NOTICES.labels(notice.kind, notice.strategy).inc()
            if (notice.kind, notice.instance) not in self._told:  # once for each in a run
                self._told.add((notice.kind, notice.instance))
                told = (key, notice.instance, notice.kind, notice.detail)
                LOG.warning("%s: the paper account of %s is %s: %s", *told)
        notices.clear()


def run_paper(
    said: KeyedStream[Said], config: PaperConfig, total: Interval
) -> Stream[tuple[str, Fill | Equity]]:
    """Return fills and equity, keyed as before.

    Args:
        said: Trades (where somebody passes them on), final klines, and behind each the signals
            that it caused, in the order of the data; what else comes is ignored.
        config: How accounts trade.
        total: The interval at whose closes an instrument's total is told: the shortest built.

    """
    logic = partial(PaperLogic, config=config, total=total.name)
    return op.stateful_batch("paper", said, resumed("paper", logic))
