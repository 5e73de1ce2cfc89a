"""An instance that looks at several symbols: their klines, aligned on the time they end.

The hosts of its symbols send their klines here, in no order that could be relied on between them.
What ends at a time is taken once every symbol has given its kline that ends then or later: first
the legs', then its own, and of each the longer intervals before the shorter. So what is said does
not depend on which symbol was faster.

    BTCUSDT ─► k k k ──────┐ waits
    ETHUSDT ─► k k ────────┴─► in order of their ends ─► strategy

A command reaches each symbol at a place of its own; it takes effect behind the latest of them. One
that is new takes what ends before that silently: the klines that its symbols had, and fetched.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from core.market.errors import SnapshotError, StrategyError
from core.market.events import InstanceChanged, StrategyErrored
from core.market.kline import Kline
from core.market.position import Positions
from core.market.signal import Signal
from strategies.base import Snapshot
from strategies.guard import Guard
from strategies.members import NEVER, Member, Members
from strategies.registry import REGISTRY, Registry
from strategies.slot import Row, Slot
from strategies.spec import InstanceSpec, Wanted

Said: TypeAlias = Kline | Signal | StrategyErrored | InstanceChanged

_HEAD = ("basket", 1)

MOST_WAITING = 40_000
"""Klines of one symbol that wait for another one: four weeks of 1m."""


@dataclass(frozen=True, slots=True)
class Enlist:
    """What a symbol's host passes on of a command.

    Attributes:
        key: The symbol's.
        time_us: The exchange's time at its place in that symbol's data.
        wanted: JSON of `Wanted`.
        klines: The symbol's klines up to there, in order.

    """

    key: str
    time_us: int
    wanted: str
    klines: tuple[Kline, ...]


@dataclass(frozen=True, slots=True)
class ToBasket:
    """Something for the basket of that key."""

    basket: str
    item: Kline | Enlist


class Basket:
    """One instance and its symbols.

    Args:
        key: The basket's (`strategies.spec.basket_key`).
        spec: As configured; None: it comes by a command.
        registry: Where strategies are found by name.
        guard: Stops an instance that computes without end; None: nobody does.

    """

    def __init__(
        self,
        key: str,
        spec: InstanceSpec | None = None,
        registry: Registry = REGISTRY,
        guard: Guard | None = None,
    ) -> None:
        self.key = key
        self._registry = registry
        self._guard = guard
        self._positions = Positions()
        self._slot: Slot | None = None
        self._members = Members(key.partition(":")[0], MOST_WAITING)
        # By command, in their order: those that have not reached all symbols yet. One that is
        # slow may be several commands behind.
        self._enlisted: dict[str, dict[str, Enlist]] = {}
        self._due: list[tuple[int, str]] = []  # commands that all have: when, and what
        self._wanted: Wanted | None = None  # the last one that took effect
        self._quiet_us = NEVER  # what ends up to here is watched in silence
        self._configured = spec
        if spec is not None:
            self._put(spec)

    def take(self, item: Kline | Enlist) -> list[Said]:
        """Take what a symbol's host sends; return what is said, and its own symbol's klines."""
        if isinstance(item, Enlist):
            return self._enlist(item)
        member = self._members.get(item)
        if member is None:
            return []
        member.waiting.add(item)
        out = self._released(self._common_us())
        return [*out, *self._overfull(item, member)]

    def status(self) -> list[Row]:
        """Return how the instance is (`strategies.host.StrategyHost.status`)."""
        return [] if self._slot is None else [self._slot.status()]

    def snapshot(self) -> Snapshot:
        """Return everything needed to go on: tuples of numbers, strings and packed klines."""
        slot = None if self._slot is None else self._slot.snapshot()
        asked = (e for own in self._enlisted.values() for e in own.values())
        enlisted = tuple((e.key, e.time_us, e.wanted) for e in asked)
        wanted = "" if self._wanted is None else self._wanted.model_dump_json()
        state = (self._positions.last, tuple(self._due), wanted, self._quiet_us)
        return (*_HEAD, self.key, state, enlisted, self._members.snapshot(), slot)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; an instance whose parameters have changed warms up anew.

        Raises:
            SnapshotError: It is of another version, or of another basket.

        """
        found, expected = snapshot[:3], (*_HEAD, self.key)
        if found != expected:
            raise SnapshotError("basket", found, expected)
        self._restore(*snapshot[3:])

    def _restore(self, state: Any, enlisted: Any, members: Any, saved: Any) -> None:  # noqa: ANN401 - as unpickled
        self._positions.last, due, wanted, self._quiet_us = state
        self._due = list(due)
        for key, at, told in enlisted:
            self._note(Enlist(key, at, told, ()))
        if wanted:
            self._again(Wanted.model_validate_json(wanted))
        self._members.restore(members, only_known=self._slot is not None)
        slot = self._slot
        if slot is not None and (saved is None or not slot.resume(saved, self._registry.make)):
            self._warm(slot)

    def _again(self, wanted: Wanted) -> None:
        if wanted.configured is not None and wanted.configured != self._configured:
            return  # as in the hosts of its symbols: who edits the settings means it
        self._wanted = wanted
        if wanted.state == "removed":
            self._slot = None
            self._members.clear()
        else:
            self._put(wanted.spec)

    # ---- alignment ----

    def _common_us(self) -> int:
        return NEVER if self._slot is None else self._members.common_us(self._slot.spec)

    def _released(self, until_us: int) -> list[Said]:
        out: list[Said] = []
        while self._due and self._due[0][0] < until_us:
            at_us, told = self._due.pop(0)
            out += self._flowed(at_us)
            out += self._obeyed(Wanted.model_validate_json(told), at_us)
        return [*out, *self._flowed(until_us)]

    def _flowed(self, until_us: int) -> list[Said]:
        return [
            said
            for member, kline in self._members.until(until_us)
            for said in self._fed(member, kline)
        ]

    def _fed(self, member: Member, kline: Kline) -> list[Said]:
        slot = self._slot
        if slot is None:
            return []
        out: list[Said] = []
        if not slot.error:
            said = self._shown(slot, member.leg, kline)
            if kline.close_us > self._quiet_us:
                out += self._placed(slot, said, kline.close_us)
        if not member.leg and kline.interval.name == slot.spec.interval:
            out.insert(0, replace(kline, key=self.key))
            if slot.error and not slot.told:
                out.append(self._errored(slot, kline.close_us))
        return out

    def _shown(self, slot: Slot, leg: str, kline: Kline) -> list[Signal]:
        is_own_interval = kline.interval.name == slot.spec.interval
        if not leg and is_own_interval:
            slot.fed += 1
            return slot.asked(slot.strategy.feed, kline)
        name = "" if is_own_interval else kline.interval.name
        slot.ask(slot.strategy.feed_other, kline, leg, name)
        return []

    def _overfull(self, kline: Kline, member: Member) -> list[Said]:
        slot = self._slot
        if slot is None or len(member.waiting) < MOST_WAITING:
            return []
        member.waiting.take_until(kline.close_us)
        if slot.error:
            return []
        spec = slot.spec
        late = min(spec.watched, key=lambda symbol: self._members.reached_us(spec, symbol))
        slot.error = f"{late} is {MOST_WAITING} klines behind {kline.symbol}: is it still followed?"
        return [self._errored(slot, kline.close_us)]

    # ---- commands ----

    def _enlist(self, item: Enlist) -> list[Said]:
        wanted = Wanted.model_validate_json(item.wanted)
        if self._wanted is not None and wanted.command == self._wanted.command:
            return []
        self._note(item)
        self._members.bring(item.key, wanted.spec.leg_of(item.key), item.klines)
        out: list[Said] = []
        while self._enlisted:
            command, own = next(iter(self._enlisted.items()))
            wanted = Wanted.model_validate_json(next(iter(own.values())).wanted)
            if len(own) < len(wanted.spec.watched):
                break
            del self._enlisted[command]
            out += self._reached_all(wanted, [e.time_us for e in own.values()])
        return out

    def _note(self, item: Enlist) -> None:
        command = Wanted.model_validate_json(item.wanted).command
        told = Enlist(item.key, item.time_us, item.wanted, ())
        self._enlisted.setdefault(command, {})[item.key] = told

    def _reached_all(self, wanted: Wanted, times: list[int]) -> list[Said]:
        if wanted.state == "removed":
            # Nothing comes behind: up to where all have sent, and then the end.
            out = self._released(min(times))
            for _, told in self._due:
                out += self._obeyed(Wanted.model_validate_json(told), max(times))
            self._due.clear()
            return [*out, *self._obeyed(wanted, max(times))]
        if self._slot is None:
            self._quiet_us = max(times)
            return [*self._obeyed(wanted, max(times)), *self._released(self._common_us())]
        self._due.append((max(times), wanted.model_dump_json()))
        return self._released(self._common_us())

    def _obeyed(self, wanted: Wanted, time_us: int) -> list[Said]:
        slot, before, self._wanted = self._slot, self._wanted, wanted
        state, detail = str(wanted.state), ""
        same_code = wanted.code == ("" if before is None else before.code)
        if wanted.state == "removed":
            self._slot = None
            if not self._enlisted:  # nobody waits for its klines
                self._members.clear()
        elif slot is not None and slot.spec == wanted.spec and same_code and not slot.error:
            slot.paused = wanted.state == "paused"
        else:
            try:
                detail = self._replaced(wanted)
            except StrategyError as error:
                state, detail = "refused", str(error)
        at = self._positions.at(time_us)
        changed = (wanted.command, wanted.spec.instance, state, detail)
        return [InstanceChanged(self.key, time_us, at, *changed)]

    def _replaced(self, wanted: Wanted) -> str:
        note = self._registry.refreshed(wanted.spec.name, wanted.code)
        slot = self._put(wanted.spec)
        slot.paused = wanted.state == "paused"
        count = self._warm(slot) + self._members.waiting()
        return "; ".join(filter(None, (f"warmed up with {count} klines", note)))

    def _put(self, spec: InstanceSpec) -> Slot:
        strategy = self._registry.make(spec)
        self._slot = Slot(spec, strategy, self._guard)
        self._members.choose(spec, strategy)
        return self._slot

    def _warm(self, slot: Slot) -> int:
        slot.error, slot.told = "", False
        count = 0
        for member, kline in self._members.kept():
            self._shown(slot, member.leg, kline)
            count += 1
            if slot.error:
                break  # the event comes with the next kline
        slot.fed = 0
        return count

    def _placed(self, slot: Slot, said: list[Signal], time_us: int) -> list[Said]:
        slot.count_signals(said)
        return [replace(s, key=self.key, seq=self._positions.at(time_us)) for s in said]

    def _errored(self, slot: Slot, time_us: int) -> StrategyErrored:
        slot.told = True
        seq = self._positions.at(time_us)
        return StrategyErrored(self.key, time_us, seq, slot.spec.instance, slot.error)
