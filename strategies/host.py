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

An instance that looks at several symbols does not run here but in a `strategies.basket.Basket`, to
which the hosts of its symbols send their klines (`ToBasket`).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeAlias

from core.market.errors import SnapshotError, StrategyError
from core.market.events import Event, InstanceChanged, StrategyErrored
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.market.ml import Prediction
from core.market.position import Positions
from core.market.signal import Signal
from core.market.trades import Trades
from strategies.base import Snapshot, Strategy
from strategies.basket import Enlist, ToBasket
from strategies.guard import Guard
from strategies.lanes import Lanes
from strategies.registry import REGISTRY, Registry
from strategies.slot import Row, Slot
from strategies.spec import InstanceSpec, Wanted

Said: TypeAlias = Signal | StrategyErrored

_HEAD = ("strategy_host", 3)


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
        own = [spec for spec in specs if self._concerns(spec)]
        registry.check(*own)
        self._configured = {spec.instance: spec for spec in own}
        self._commanded: dict[str, Wanted] = {}
        self._lanes = Lanes(key)
        self._sent: list[ToBasket] = []
        self._predictions: dict[tuple[str, str], Prediction] = {}  # the last one of each model
        for spec in self._configured.values():
            self._add(spec)

    def on_kline(self, kline: Kline) -> list[Said]:
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
        self._sent += [ToBasket(basket, kline) for basket in lane.baskets.values()]
        for slot in lane.watchers:
            if not slot.error:
                slot.ask(slot.strategy.feed_other, kline, "", kline.interval.name)
        return [said for slot in lane.slots for said in self._fed(slot, kline)]

    def on_forming(self, kline: Kline, time_us: int) -> list[Said]:
        """Take the unfinished kline as it stood at a time; return what is said to it."""
        lane = self._lanes.get(kline.interval.name)
        out: list[Said] = []
        for slot in lane.wanting("forming") if lane is not None else ():
            said = slot.asked(slot.strategy.feed_forming, kline, time_us)
            out += self._placed(slot, said, time_us)
            if slot.error:
                out.append(self._errored(slot, time_us))
        return out

    def on_event(self, event: Event) -> list[Said]:
        """Take an event about the instrument's data; return what is said to it."""
        out: list[Said] = []
        for lane in self._lanes:
            last = lane.history.last
            for slot in lane.wanting("quality") if last is not None else ():
                said = slot.asked(slot.strategy.feed_event, event, last)
                out += self._placed(slot, said, event.time_us)
                if slot.error:
                    out.append(self._errored(slot, event.time_us))
        return out

    def on_trades(self, trades: Trades) -> list[Trades | Said]:
        """Take trades of one window; return them, with each thing said behind its trade."""
        found: list[tuple[int, Slot, Signal]] = []
        for lane in self._lanes:
            for slot in lane.wanting("trades"):
                of = interval(slot.spec.interval)
                found += [(row, slot, said) for row, said in slot.asked_trades(trades, of)]
        return self._interleaved(trades, found) if found else [trades]

    def on_prediction(self, prediction: Prediction) -> None:
        """Take what a model says of the next kline; those who ask for it see it."""
        if not prediction.shadow:
            self._predictions[prediction.interval.name, prediction.model] = prediction
        lane = self._lanes.get(prediction.interval.name)
        for slot in lane.slots if lane is not None else ():
            if not slot.error and _listens(slot):
                slot.ask(slot.strategy.predicted, prediction)

    def want(self, wanted: Wanted, fetched: Iterable[Kline], time_us: int) -> list[InstanceChanged]:
        """Make an instance what a command wants it to be.

        Args:
            wanted: Spec and state. A command that was obeyed before changes nothing.
            fetched: Klines of the intervals it looks at from before those kept, oldest first.
            time_us: The exchange's time, for the event.

        Returns:
            What has become of it; nothing where it does not concern this instrument.

        """
        name = wanted.spec.instance
        known = self._commanded.get(name)
        if known is not None and known.command == wanted.command:
            return []
        was, had = self._lanes.slot(name), self._lanes.baskets_of(name)
        state, detail = self._carried_out(wanted, was, list(fetched))
        if state == "removed" and not was and not had and not self._concerns(wanted.spec):
            return []
        told = self._enlisted(wanted, had, time_us) if state != "refused" else []
        self._sent += told
        if told and was is None:
            return []  # the basket says what became of it
        seq = self._positions.at(time_us)
        changed = (wanted.command, name, state, detail)
        return [InstanceChanged(self.key, time_us, seq, *changed)]

    def sent(self) -> list[ToBasket]:
        """Return what baskets are to be given since this was last asked."""
        sent, self._sent = self._sent, []
        return sent

    @property
    def instances(self) -> tuple[Wanted, ...]:
        """What runs here, and how."""
        return tuple(
            Wanted(spec=slot.spec, state="paused" if slot.paused else "running")
            for slot in self._lanes.slots
        )

    def status(self) -> list[Row]:
        """Return how each instance is, as plain values, for people.

        ``instance strategy interval params state fed signals last_us last_side decision_us error``;
        `state` is ``running``, ``warming`` (indicators without value), ``paused`` or ``errored``,
        `decision_us` the mean time per kline in this process.
        """
        return [slot.status() for slot in self._lanes.slots]

    @property
    def errored(self) -> tuple[str, ...]:
        """Instances that are stopped because they raised."""
        return tuple(slot.spec.instance for slot in self._lanes.slots if slot.error)

    def kept(self, interval_name: str) -> tuple[Kline, ...]:
        """Return the klines kept of an interval, oldest first; none where no instance has it."""
        lane = self._lanes.get(interval_name)
        return () if lane is None else tuple(lane.history)

    def snapshot(self) -> Snapshot:
        """Return everything needed to go on: tuples of numbers, strings and packed klines."""
        slots = tuple(slot.snapshot() for slot in self._lanes.slots)
        commanded = tuple(wanted.model_dump_json() for wanted in self._commanded.values())
        heard = tuple(_plain_of(p) for p in self._predictions.values())
        lanes = self._lanes.snapshot()
        return (*_HEAD, self.key, self._positions.last, lanes, slots, commanded, heard)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; what it lacks or cannot give warms up (see `warmed`).

        Raises:
            SnapshotError: It is of another version of the host, or of another instrument.

        """
        found, expected = snapshot[:3], (*_HEAD, self.key)
        if found != expected:
            raise SnapshotError("strategies", found, expected)
        self._restore(*snapshot[3:])

    def _restore(self, last: Any, lanes: Any, slots: Any, commanded: Any, heard: Any) -> None:  # noqa: ANN401 - as unpickled
        self._positions.last = last
        for name, *fields in heard:
            prediction = Prediction(self.key, interval(name), *fields)
            self._predictions[name, prediction.model] = prediction
        for text in commanded:
            self._carried_out(Wanted.model_validate_json(text), None, [])
        self._lanes.restore(lanes)
        saved = {(one[0], one[1]): one for one in slots}
        warmed = []
        for slot in self._lanes.slots:
            before = saved.get((slot.spec.instance, slot.spec.interval))
            if before is None or not slot.resume(before, self._registry.make):
                self._warm(slot)
                warmed.append(slot.spec.instance)
        self.warmed = tuple(warmed)

    # ---- instances ----

    def _concerns(self, spec: InstanceSpec) -> bool:
        return spec.sees(self.key)

    def _add(self, spec: InstanceSpec) -> Slot | None:
        strategy = self._registry.make(spec)
        if spec.legs:
            self._lanes.add_basket(spec, strategy)
            return None
        slot = Slot(spec, strategy, self._guard)
        self._lanes.add_slot(slot)
        return slot

    def _carried_out(
        self, wanted: Wanted, was: Slot | None, fetched: list[Kline]
    ) -> tuple[str, str]:
        name = wanted.spec.instance
        was = was or self._lanes.slot(name)
        configured = self._configured.get(name)
        if wanted.configured is not None and wanted.configured != configured:
            # Who edits the settings means it: they hold, not what was commanded before.
            return "refused", "the settings of this instance have changed since"
        before = self._commanded.get(name)
        self._commanded[name] = wanted
        if wanted.state == "removed" or not self._concerns(wanted.spec):
            self._lanes.drop(name, was)
            self._lanes.tidy()
            if configured is None and not wanted.stopped:
                del self._commanded[name]
            return "removed", "stopped" if wanted.stopped else ""
        same_code = wanted.code == ("" if before is None else before.code)
        if was is not None and was.spec == wanted.spec and same_code and not was.error:
            was.paused = wanted.state == "paused"
            return wanted.state, ""
        return self._replaced(wanted, was, fetched)

    def _replaced(self, wanted: Wanted, was: Slot | None, fetched: list[Kline]) -> tuple[str, str]:
        try:
            note = self._registry.refreshed(wanted.spec.name, wanted.code)
            self._registry.make(wanted.spec)
        except StrategyError as error:
            return "refused", str(error)
        self._lanes.drop(wanted.spec.instance, was)
        slot = self._add(wanted.spec)
        self._lanes.tidy()
        taken = self._lanes.prepend(fetched)
        if slot is None:
            return wanted.state, ""
        slot.paused = wanted.state == "paused"
        self._warm(slot)
        held = len(self.kept(wanted.spec.interval))
        warmed = f"warmed up with {held} klines, {taken} of them fetched"
        return wanted.state, "; ".join(filter(None, (warmed, note)))

    def _enlisted(self, wanted: Wanted, had: tuple[str, ...], time_us: int) -> list[ToBasket]:
        now = self._lanes.baskets_of(wanted.spec.instance)
        gone = wanted.model_copy(update={"state": "removed"})
        return [
            *(self._enlist(basket, gone, time_us) for basket in had if basket not in now),
            *(self._enlist(basket, wanted, time_us) for basket in now),
        ]

    def _enlist(self, basket: str, wanted: Wanted, time_us: int) -> ToBasket:
        klines = tuple(self._lanes.sent_to(basket))
        return ToBasket(basket, Enlist(self.key, time_us, wanted.model_dump_json(), klines))

    def _warm(self, slot: Slot) -> None:
        slot.error, slot.told = "", False
        for kline in self._lanes.seen_by(slot):
            self._remind(slot, kline)
            if kline.interval.name == slot.spec.interval:
                slot.ask(slot.strategy.feed, kline)
            else:
                slot.ask(slot.strategy.feed_other, kline, "", kline.interval.name)
            if slot.error:
                return  # the event comes with the next kline

    def _remind(self, slot: Slot, kline: Kline) -> None:
        # What models said of the last kline: one that comes later knows it as if it had listened.
        for (name, _), prediction in self._predictions.items() if _listens(slot) else ():
            if name == kline.interval.name and prediction.open_us == kline.open_us:
                slot.ask(slot.strategy.predicted, prediction)

    def _fed(self, slot: Slot, kline: Kline) -> list[Said]:
        out: list[Said] = []
        if not slot.error:
            said = slot.asked(slot.strategy.feed, kline)
            slot.fed += 1
            if said:
                out = self._placed(slot, said, kline.close_us)
        if slot.error and not slot.told:
            out.append(self._errored(slot, kline.close_us))
        return out

    def _placed(self, slot: Slot, said: list[Signal], time_us: int) -> list[Said]:
        slot.count_signals(said)
        return [replace(signal, seq=self._positions.at(time_us)) for signal in said]

    def _interleaved(
        self, trades: Trades, found: list[tuple[int, Slot, Signal]]
    ) -> list[Trades | Said]:
        out: list[Trades | Said] = []
        at = 0
        for row, slot, signal in sorted(found, key=lambda one: one[0]):
            if row >= at:
                out.append(trades.take(slice(at, row + 1)))
                at = row + 1
            out += self._placed(slot, [signal], signal.close_us)
        return [*out, trades.take(slice(at, None))] if at < len(trades) else out

    def _errored(self, slot: Slot, time_us: int) -> StrategyErrored:
        slot.told = True
        seq = self._positions.at(time_us)
        return StrategyErrored(self.key, time_us, seq, slot.spec.instance, slot.error)


def _listens(slot: Slot) -> bool:
    return type(slot.strategy).predicted is not Strategy.predicted


def _plain_of(p: Prediction) -> Snapshot:
    window = (p.open_us, p.close_us)
    said = (p.value, p.reason, p.shadow, p.seq)
    return (p.interval.name, p.model, p.version, p.definition, *window, *said)
