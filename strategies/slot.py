"""One running instance: its calls are measured and guarded, what it does wrong stays its own."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, TypeAlias, TypeVar

from core.market.events import PAYLOAD_LIMIT
from core.market.intervals import Interval
from core.market.signal import Signal
from core.market.trades import Trades
from strategies.base import Snapshot, Strategy
from strategies.guard import Guard, StrategyTimeout
from strategies.spec import InstanceSpec
from telemetry.metrics import DECISIONS
from telemetry.passage import PASSAGE

Row: TypeAlias = dict[str, Any]
Answer = TypeVar("Answer")

_FRAMES = 8
"""Innermost frames of a traceback that are told; the outer ones are ours."""


@dataclass(slots=True)
class Slot:
    """One instance.

    Attributes:
        paused: It is fed like the others, and what it says is dropped.
        error: Why it was stopped; empty while it runs.
        told: Whether its error was emitted as an event.
        fed: Klines, for people, like the rest.
        said: Signals.
        last: Its last signal: when, and which side.

    """

    spec: InstanceSpec
    strategy: Strategy
    guard: Guard | None = None
    paused: bool = False
    error: str = ""
    told: bool = False
    fed: int = 0
    said: int = 0
    last: tuple[int, str] = (0, "")
    spent_ns: int = 0
    timed: int = 0

    def ask(self, call: Callable[..., Answer], *args: object) -> Answer | None:
        """Return what a call into the strategy gives; None if it went wrong, see `error`."""
        # Whatever a strategy raises stops that strategy only.
        try:
            if self.guard is None:
                return call(*args)
            self.guard.enter()
            try:
                return call(*args)
            finally:
                self.guard.leave()
        except Exception as error:
            self.error = _told(error)
        except StrategyTimeout as error:
            limit = 0.0
            if self.guard is not None:
                self.guard.leave()
                limit = self.guard.seconds
            self.error = f"{_told(error)}: one call took more than {limit:g} s"
        return None

    def asked(self, call: Callable[..., list[Answer]], *args: object) -> list[Answer]:
        """Return what it says to a kline, an event or trades, as far as it may speak."""
        began = perf_counter_ns()  # told to people, decides nothing
        answers = self.ask(call, *args)
        if self.error:
            return []
        spent_ns = perf_counter_ns() - began
        self.spent_ns += spent_ns
        self.timed += 1
        if PASSAGE:  # live
            DECISIONS.labels(self.spec.name).observe(spent_ns / 1e9)
        return [] if self.paused or not answers else answers

    def asked_trades(self, trades: Trades, of: Interval) -> list[tuple[int, Signal]]:
        """Return what it says to trades, each with its row."""
        before = self.ask(self.strategy.snapshot)
        said = self.asked(self.strategy.feed_trades, trades, of)
        if before is None or not self.error or len(trades) == 1:
            return said
        # Which trade was too much must not depend on how they were batched: once more, row by row.
        self.error = ""
        self.ask(self.strategy.restore, before)
        found: list[tuple[int, Signal]] = []
        for row in range(len(trades)):
            if self.error:
                break
            one = trades.take(slice(row, row + 1))
            found += [(row, s) for _, s in self.asked(self.strategy.feed_trades, one, of)]
        return found

    def count_signals(self, signals: list[Signal]) -> None:
        """Note what was said."""
        if signals:
            self.said += len(signals)
            self.last = (signals[-1].close_us, signals[-1].side.value)

    def snapshot(self) -> Snapshot:
        """Return everything needed to go on."""
        state: Snapshot = ()
        if not self.error:
            try:
                state = self.strategy.snapshot()
            except Exception as error:  # as in `ask`; the event comes with the next kline
                self.error = _told(error)
        flags = (self.paused, self.error, self.told, self.fed, self.said, self.last)
        return (self.spec.instance, self.spec.interval, self.strategy.identity, *flags, state)

    def resume(self, saved: Snapshot, again: Callable[[InstanceSpec], Strategy]) -> bool:
        """Go on from a snapshot; say whether that could be done, if not it has to warm up.

        Args:
            saved: What `snapshot` returned.
            again: Makes another strategy in place of one that a bad snapshot has spoilt.

        """
        identity, *rest = saved[2:]
        if identity != self.strategy.identity:
            return False
        flags: list[Any] = rest
        self.paused, self.error, self.told, self.fed, self.said, self.last, state = flags
        if self.error:
            return True
        try:
            self.strategy.restore(state)
        except Exception:  # a user's own `restore` may raise anything; warming up is the way out
            self.strategy = again(self.spec)
            return False
        return True

    def status(self) -> Row:
        """Return how it is, as plain values (`strategies.host.StrategyHost.status`)."""
        state = "errored" if self.error else "paused" if self.paused else ""
        return {
            "instance": self.spec.instance,
            "strategy": self.spec.name,
            "interval": self.spec.interval,
            "params": self.strategy.params.model_dump(),
            "state": state or ("running" if self.strategy.warm else "warming"),
            "fed": self.fed,
            "signals": self.said,
            "last_us": self.last[0],
            "last_side": self.last[1],
            "decision_us": round(self.spent_ns / max(1, self.timed) / 1000, 2),
            "error": self.error.rpartition("\n")[2],
        }


def _told(error: BaseException) -> str:
    lines = traceback.format_exception(error, limit=-_FRAMES)
    # The end says what it was.
    return "".join(lines).strip()[-PAYLOAD_LIMIT:]
