"""Hosts every instance of every strategy of one instrument: klines in, signals out. Pure.

What one instance does wrong stays its own: one that raises is stopped, one `StrategyErrored` says
so, and the others go on. It stays stopped, over restarts too, until its version or its parameters
change.

A kline that is issued again (`revision` above 0) replaces the kept one and is not fed again: a
signal that was given cannot be taken back, and indicators take a window once. So signals depend on
what was known when the window closed, live as in a replay.
"""

import traceback
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from core.market.errors import SnapshotError, StrategyError
from core.market.events import PAYLOAD_LIMIT, StrategyErrored
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.market.position import Positions
from core.market.signal import Signal
from strategies.base import Snapshot, Strategy
from strategies.history import History
from strategies.registry import REGISTRY, Registry
from strategies.spec import InstanceSpec, specs_for

_HEAD = ("strategy_host", 1)

_FRAMES = 8
"""Innermost frames of a traceback that are told; the outer ones are ours."""


@dataclass(slots=True)
class _Slot:
    """One instance. `error` is empty while it runs; `told` once its event was emitted."""

    spec: InstanceSpec
    strategy: Strategy
    error: str = ""
    told: bool = False


@dataclass(slots=True)
class _Lane:
    """What one interval has: its instances, in the order configured, and its last klines."""

    slots: list[_Slot]
    history: History


class StrategyHost:
    """All instances that run on one instrument.

    It keeps as many klines per interval as its slowest instance takes to converge.

    Args:
        key: The instrument's key.
        specs: All instances configured; those for other symbols are left out.
        registry: Where strategies are found by name.

    Attributes:
        warmed: Instances that the last `restore` could not resume, because they are new or have
            another version or other parameters: they took the kept klines instead.

    Raises:
        StrategyError: A spec cannot be made into an instance, or two have the same name.

    """

    def __init__(
        self, key: str, specs: Iterable[InstanceSpec], registry: Registry = REGISTRY
    ) -> None:
        self.key = key
        self.warmed: tuple[str, ...] = ()
        self._registry = registry
        self._positions = Positions()
        own = specs_for(key, specs)
        registry.check(*own)
        self._slots = [_Slot(spec, registry.make(spec)) for spec in own]
        self._lanes = {name: self._lane(name) for name in dict.fromkeys(s.interval for s in own)}

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
        return (*_HEAD, self.key, self._positions.last, lanes, slots)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; what it lacks or cannot give warms up (see `warmed`).

        Raises:
            SnapshotError: It is of another version of the host, or of another instrument.

        """
        found, expected = snapshot[:3], (*_HEAD, self.key)
        if found != expected:
            raise SnapshotError("strategies", found, expected)
        last, lanes, slots = snapshot[3:]
        self._restore(last, lanes, slots)

    def _restore(self, last: Any, lanes: Any, slots: Any) -> None:  # noqa: ANN401 - as unpickled
        self._positions.last = last
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

    def _lane(self, name: str) -> _Lane:
        slots = [slot for slot in self._slots if slot.spec.interval == name]
        keep = max(max(s.strategy.lookback, s.strategy.convergence) for s in slots)
        return _Lane(slots, History(self.key, interval(name), keep))

    def _fed(self, slot: _Slot, kline: Kline) -> list[Signal]:
        try:
            signals = slot.strategy.feed(kline)
        except Exception as error:  # whatever a strategy raises stops that strategy only
            slot.error = _told(error)
            return []
        return [replace(s, seq=self._positions.at(kline.close_us)) for s in signals]

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
        return (spec.instance, spec.interval, identity, slot.error, slot.told, state)

    def _resumed(self, slot: _Slot, saved: list[Any] | None) -> bool:
        if saved is not None and saved[0] == slot.strategy.identity:
            _, slot.error, slot.told, state = saved
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
        try:
            for kline in self._lanes[slot.spec.interval].history:
                slot.strategy.feed(kline)
        except Exception as error:  # as in `_fed`; the event comes with the next kline
            slot.error = _told(error)


def _told(error: Exception) -> str:
    lines = traceback.format_exception(error, limit=-_FRAMES)
    # The end says what it was.
    return "".join(lines).strip()[-PAYLOAD_LIMIT:]
