"""Step: what a back-test's accounts get to see: nothing of the warm-up, nothing behind the end.

Strategies see every kline from the first one on. Their signals count from where those no longer
depend on where the data began (`Strategy.convergence`), and from the start that was asked for.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from bytewax import operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from connectors.shutdown import telling
from core.market.kline import Kline, Status
from core.market.signal import Signal
from core.market.trades import Trades
from dataflows.paper import Said

State: TypeAlias = tuple[Any, ...] | None

FOREVER_US = 1 << 62


@dataclass(frozen=True, slots=True)
class Window:
    """When a back-test's accounts may trade.

    Attributes:
        warmup: Klines that must have been seen, as (name of the interval, how many).
        start_us: No earlier signal counts.
        end_us: Nothing from there on is seen.

    """

    warmup: tuple[tuple[str, int], ...] = ()
    start_us: int = 0
    end_us: int = FOREVER_US


@dataclass(slots=True)
class Opening:
    """Of one instrument: whether its warm-up is over, found kline by kline.

    Attributes:
        begin_us: From when on signals count; 0: not yet known.
        seen: Klines so far, by interval.

    """

    window: Window
    begin_us: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def on_kline(self, kline: Kline) -> None:
        """Count a kline; one that is issued again is none."""
        if kline.status is not Status.FINAL or kline.revision:
            return
        name = kline.interval.name
        self.seen[name] = self.seen.get(name, 0) + 1
        if self.begin_us or any(self.seen.get(n, 0) < most for n, most in self.window.warmup):
            return
        self.begin_us = max(kline.close_us, self.window.start_us)

    def counts(self, time_us: int) -> bool:
        """Say whether what is said at that time counts."""
        return bool(self.begin_us) and self.begin_us <= time_us < self.window.end_us


class WindowLogic(StatefulBatchLogic[Said, Said, State]):
    """One instrument's `Opening`."""

    def __init__(self, state: State, *, window: Window) -> None:
        self._opening = Opening(window)
        if state is not None:
            self._opening.begin_us, seen = state
            self._opening.seen = dict(seen)

    @telling
    def on_batch(self, values: list[Said]) -> tuple[list[Said], bool]:
        """Take a batch of what strategies passed on."""
        out: list[Said] = []
        for item in values:
            kept = self._within(item)
            if kept is not None:
                out.append(kept)
        return out, False

    def snapshot(self) -> State:
        """Return the state as plain values."""
        return self._opening.begin_us, tuple(sorted(self._opening.seen.items()))

    def _within(self, item: Said) -> Said | None:
        end_us = self._opening.window.end_us
        match item:
            case Kline():
                self._opening.on_kline(item)
                return item if item.close_us < end_us else None
            case Trades():
                before = item.time_us < end_us
                return item if before.all() else item.take(before) if before.any() else None
            case Signal():
                return item if self._opening.counts(item.close_us) else None
        return item


def within(said: KeyedStream[Said], window: Window) -> Stream[tuple[str, Said]]:
    """Return what of the stream counts, in its order."""
    return op.stateful_batch("window", said, partial(WindowLogic, window=window))
