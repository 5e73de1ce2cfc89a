"""Hosts every instance of every strategy of one instrument: klines in, signals out. Pure.

What one instance does wrong stays its own: one that raises is stopped, one `StrategyErrored` says
so, and the others go on. It stays stopped, over restarts too, until its version or its parameters
change.

Instances are those configured, as commands have changed them since (`want`). One that comes later
is warmed up with the kept klines, and with older ones that the source fetched, so that it says what
it would say had it run from the start.

A kline that is issued again (`revision` above 0) replaces the kept one and is not fed again: a
signal that was given cannot be taken back, and indicators take a window once. So signals depend on
what was known when the window closed, live as in a replay.
"""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import Any, TypeAlias, TypeVar

from core.market.errors import SnapshotError, StrategyError
from core.market.events import PAYLOAD_LIMIT, InstanceChanged, StrategyErrored
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.market.ml import Prediction
from core.market.position import Positions
from core.market.signal import Signal
from strategies.base import Snapshot, Strategy
from strategies.guard import Guard, StrategyTimeout
from strategies.history import History
from strategies.registry import REGISTRY, Registry
from strategies.spec import InstanceSpec, Wanted, specs_for

Row: TypeAlias = dict[str, Any]

Given = TypeVar("Given")
Answer = TypeVar("Answer")

_HEAD = ("strategy_host", 2)

_FRAMES = 8
"""Innermost frames of a traceback that are told; the outer ones are ours."""


@dataclass(slots=True)
class _Slot:
    """One instance. `error` is empty while it runs; `told` once its event was emitted.

    One that is `paused` is fed like the others, and what it says is dropped. `fed`, `said` and
    `last` (its last signal: when, and which side) are for people.
    """

    spec: InstanceSpec
    strategy: Strategy
    paused: bool = False
    error: str = ""
    told: bool = False
    fed: int = 0
    said: int = 0
    last: tuple[int, str] = (0, "")
    spent_ns: int = 0
    timed: int = 0


@dataclass(slots=True)
class _Lane:
    """What one interval has: its instances, in the order they came, and its last klines."""

    slots: list[_Slot]
    history: History


class StrategyHost:
    """All instances that run on one instrument.

    It keeps as many klines per interval as its slowest instance takes to converge.

    Args:
        key: The instrument's key.
        specs: All instances configured; those for other symbols are left out.
        registry: Where strategies are found by name.
        guard: Stops an instance that computes without end; None: nobody does.

    Attributes:
        warmed: Instances that the last `restore` could not resume, because they are new or have
            another version or other parameters: they took the kept klines instead.

    Raises:
        StrategyError: A spec cannot be made into an instance, or two have the same name.

    """

    def __init__(
        self,
        key: str,
        specs: Iterable[InstanceSpec],
        registry: Registry = REGISTRY,
        guard: Guard | None = None,
    ) -> None:
        self.key = key
        self.warmed: tuple[str, ...] = ()
        self._registry = registry
        self._guard = guard
        self._positions = Positions()
        own = specs_for(key, specs)
        registry.check(*own)
        self._configured = {spec.instance: spec for spec in own}
        self._commanded: dict[str, Wanted] = {}
        self._lanes: dict[str, _Lane] = {}  # in the order of their first instances
        for spec in self._configured.values():
            self._add(spec)

    def on_kline(self, kline: Kline) -> list[Signal | StrategyErrored]:
        """Take a final kline of any interval; return what its instances say, in their order."""
        if kline.key != self.key:
            raise StrategyError(self.key, f"its host was given a kline of `{kline.key}`")
        lane = self._lanes.get(kline.interval.name)
        if lane is None or kline.status is not Status.FINAL:
            return []
        if kline.open_us <= lane.history.last_open_us:
            lane.history.replace(kline)
            return []
        lane.history.add(kline)
        out: list[Signal | StrategyErrored] = []
        for slot in lane.slots:
            if not slot.error:
                out += self._fed(slot, kline)
            if slot.error and not slot.told:
                out.append(self._errored(slot, kline))
        return out

    def on_prediction(self, prediction: Prediction) -> None:
        """Take what a model says of the next kline; those who ask for it see it."""
        lane = self._lanes.get(prediction.interval.name)
        for slot in lane.slots if lane is not None else ():
            if not slot.error and type(slot.strategy).predicted is not Strategy.predicted:
                self._asked(slot, slot.strategy.predicted, prediction)

    def want(self, wanted: Wanted, fetched: Iterable[Kline], time_us: int) -> list[InstanceChanged]:
        """Make an instance what a command wants it to be.

        Args:
            wanted: Spec and state. A command that was obeyed before changes nothing.
            fetched: Klines of its interval from before those kept, oldest first.
            time_us: The exchange's time, for the event.

        Returns:
            What has become of it; nothing where it does not concern this instrument.

        """
        name = wanted.spec.instance
        known = self._commanded.get(name)
        if known is not None and known.command == wanted.command:
            return []
        was = self._slot(name)
        state, detail = self._carried_out(wanted, was, list(fetched))
        if state == "removed" and was is None and not wanted.spec.applies_to(self.key):
            return []
        seq = self._positions.at(time_us)
        changed = (wanted.command, name, state, detail)
        return [InstanceChanged(self.key, time_us, seq, *changed)]

    @property
    def instances(self) -> tuple[Wanted, ...]:
        """What runs here, and how."""
        return tuple(
            Wanted(spec=slot.spec, state="paused" if slot.paused else "running")
            for slot in self._slots
        )

    def status(self) -> list[Row]:
        """Return how each instance is, as plain values, for people.

        ``instance strategy interval params state fed signals last_us last_side decision_us error``;
        `state` is ``running``, ``warming`` (indicators without value), ``paused`` or ``errored``,
        `decision_us` the mean time per kline in this process.
        """
        return [_row(slot) for slot in self._slots]

    @property
    def errored(self) -> tuple[str, ...]:
        """Instances that are stopped because they raised."""
        return tuple(slot.spec.instance for slot in self._slots if slot.error)

    def kept(self, interval_name: str) -> tuple[Kline, ...]:
        """Return the klines kept of an interval, oldest first; none where no instance has it."""
        lane = self._lanes.get(interval_name)
        return () if lane is None else tuple(lane.history)

    def snapshot(self) -> Snapshot:
        """Return everything needed to go on: tuples of numbers, strings and packed klines."""
        lanes = tuple(
            (name, *lane.history.snapshot()) for name, lane in sorted(self._lanes.items())
        )
        slots = tuple(self._kept(slot) for slot in self._slots)
        commanded = tuple(wanted.model_dump_json() for wanted in self._commanded.values())
        return (*_HEAD, self.key, self._positions.last, lanes, slots, commanded)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; what it lacks or cannot give warms up (see `warmed`).

        Raises:
            SnapshotError: It is of another version of the host, or of another instrument.

        """
        found, expected = snapshot[:3], (*_HEAD, self.key)
        if found != expected:
            raise SnapshotError("strategies", found, expected)
        last, lanes, slots, commanded = snapshot[3:]
        self._restore(last, lanes, slots, commanded)

    def _restore(self, last: Any, lanes: Any, slots: Any, commanded: Any) -> None:  # noqa: ANN401 - as unpickled
        self._positions.last = last
        for text in commanded:
            self._carried_out(Wanted.model_validate_json(text), None, [])
        for name, layout, rows in lanes:
            if name in self._lanes:
                self._lanes[name].history.restore((layout, rows))
        saved = {(instance, name): rest for instance, name, *rest in slots}
        warmed = [
            slot.spec.instance
            for slot in self._slots
            if not self._resumed(slot, saved.get((slot.spec.instance, slot.spec.interval)))
        ]
        self.warmed = tuple(warmed)

    # ---- instances ----

    @property
    def _slots(self) -> list[_Slot]:
        return [slot for lane in self._lanes.values() for slot in lane.slots]

    def _slot(self, instance: str) -> _Slot | None:
        return next((slot for slot in self._slots if slot.spec.instance == instance), None)

    def _add(self, spec: InstanceSpec) -> _Slot:
        slot = _Slot(spec, self._registry.make(spec))
        keep = max(slot.strategy.lookback, slot.strategy.convergence)
        lane = self._lanes.get(spec.interval)
        if lane is None:
            lane = _Lane([], History(self.key, interval(spec.interval), keep))
            self._lanes[spec.interval] = lane
        lane.history.grow(keep)
        lane.slots.append(slot)
        return slot

    def _remove(self, slot: _Slot) -> None:
        lane = self._lanes[slot.spec.interval]
        lane.slots.remove(slot)
        if not lane.slots:
            del self._lanes[slot.spec.interval]

    def _carried_out(
        self, wanted: Wanted, was: _Slot | None, fetched: list[Kline]
    ) -> tuple[str, str]:
        name = wanted.spec.instance
        was = was or self._slot(name)
        configured = self._configured.get(name)
        if wanted.configured is not None and wanted.configured != configured:
            # Who edits the settings means it: they hold, not what was commanded before.
            return "refused", "the settings of this instance have changed since"
        self._commanded[name] = wanted
        if wanted.state == "removed" or not wanted.spec.applies_to(self.key):
            if was is not None:
                self._remove(was)
            if configured is None:
                del self._commanded[name]
            return "removed", ""
        if was is not None and was.spec == wanted.spec and not was.error:
            was.paused = wanted.state == "paused"
            return wanted.state, ""
        return self._replaced(wanted, was, fetched)

    def _replaced(self, wanted: Wanted, was: _Slot | None, fetched: list[Kline]) -> tuple[str, str]:
        try:
            slot = self._add(wanted.spec)
        except StrategyError as error:
            return "refused", str(error)
        if was is not None:
            self._remove(was)
        slot.paused = wanted.state == "paused"
        history = self._lanes[wanted.spec.interval].history
        taken = history.prepend(fetched)
        self._warm(slot)
        return wanted.state, f"warmed up with {len(history)} klines, {taken} of them fetched"

    def _fed(self, slot: _Slot, kline: Kline) -> list[Signal]:
        began = perf_counter_ns()  # told to people, decides nothing
        signals = self._asked(slot, slot.strategy.feed, kline) or []
        if slot.error:
            return []
        slot.spent_ns += perf_counter_ns() - began
        slot.timed += 1
        slot.fed += 1
        if slot.paused or not signals:
            return []
        slot.said += len(signals)
        slot.last = (kline.close_us, signals[-1].side.value)
        return [replace(s, seq=self._positions.at(kline.close_us)) for s in signals]

    def _asked(self, slot: _Slot, ask: Callable[[Given], Answer], given: Given) -> Answer | None:
        # Whatever a strategy raises stops that strategy only.
        try:
            if self._guard is None:
                return ask(given)
            self._guard.enter()
            try:
                return ask(given)
            finally:
                self._guard.leave()
        except Exception as error:
            slot.error = _told(error)
        except StrategyTimeout as error:
            if self._guard is not None:
                self._guard.leave()
            slot.error = f"{_told(error)}: one kline took more than {self._limit():g} s"
        return None

    def _limit(self) -> float:
        return 0.0 if self._guard is None else self._guard.seconds

    def _errored(self, slot: _Slot, kline: Kline) -> StrategyErrored:
        slot.told = True
        seq = self._positions.at(kline.close_us)
        return StrategyErrored(self.key, kline.close_us, seq, slot.spec.instance, slot.error)

    def _kept(self, slot: _Slot) -> Snapshot:
        state: Snapshot = ()
        if not slot.error:
            try:
                state = slot.strategy.snapshot()
            except Exception as error:  # as in `_fed`; the event comes with the next kline
                slot.error = _told(error)
        spec = slot.spec
        identity = slot.strategy.identity
        flags = (slot.paused, slot.error, slot.told, slot.fed, slot.said, slot.last)
        return (spec.instance, spec.interval, identity, *flags, state)

    def _resumed(self, slot: _Slot, saved: list[Any] | None) -> bool:
        if saved is not None and saved[0] == slot.strategy.identity:
            _, slot.paused, slot.error, slot.told, slot.fed, slot.said, slot.last, state = saved
            if slot.error:
                return True
            try:
                slot.strategy.restore(state)
            except (
                Exception
            ):  # a user's own `restore` may raise anything; warming up is the way out
                slot.strategy = self._registry.make(slot.spec)
            else:
                return True
        self._warm(slot)
        return False

    def _warm(self, slot: _Slot) -> None:
        slot.error, slot.told = "", False
        for kline in self._lanes[slot.spec.interval].history:
            self._asked(slot, slot.strategy.feed, kline)
            if slot.error:
                return  # the event comes with the next kline


def _row(slot: _Slot) -> Row:
    state = "errored" if slot.error else "paused" if slot.paused else ""
    return {
        "instance": slot.spec.instance,
        "strategy": slot.spec.name,
        "interval": slot.spec.interval,
        "params": slot.strategy.params.model_dump(),
        "state": state or ("running" if slot.strategy.warm else "warming"),
        "fed": slot.fed,
        "signals": slot.said,
        "last_us": slot.last[0],
        "last_side": slot.last[1],
        "decision_us": round(slot.spent_ns / max(1, slot.timed) / 1000, 2),
        "error": slot.error.rpartition("\n")[2],
    }


def _told(error: BaseException) -> str:
    lines = traceback.format_exception(error, limit=-_FRAMES)
    # The end says what it was.
    return "".join(lines).strip()[-PAYLOAD_LIMIT:]
