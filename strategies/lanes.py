"""Who gets the klines of which interval of one instrument, and the last klines of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from core.market.intervals import interval
from core.market.kline import Kline
from strategies.base import Strategy
from strategies.history import History, in_order
from strategies.slot import Slot
from strategies.spec import InstanceSpec, basket_key


@dataclass(slots=True)
class Lane:
    """What one interval has, each in the order they came, and its last klines.

    Attributes:
        slots: The instances that run on its klines.
        watchers: Those of shorter intervals that look at them as well.
        baskets: By instance, the keys of baskets that get them.

    """

    history: History
    slots: list[Slot] = field(default_factory=list)
    watchers: list[Slot] = field(default_factory=list)
    baskets: dict[str, str] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        """Whether nobody gets its klines."""
        return not (self.slots or self.watchers or self.baskets)

    def wanting(self, what: str) -> list[Slot]:
        """Return the instances that run and ask for ``trades``, ``forming`` or ``quality``."""
        return [slot for slot in self.slots if not slot.error and what in slot.strategy.wants]


class Lanes:
    """The lanes of one instrument, in the order of their first instances.

    Each keeps as many klines as the slowest of its instances takes to converge.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._lanes: dict[str, Lane] = {}

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def get(self, name: str) -> Lane | None:
        """Return the lane of an interval; None where nobody looks at it."""
        return self._lanes.get(name)

    @property
    def slots(self) -> list[Slot]:
        """All instances."""
        return [slot for lane in self for slot in lane.slots]

    def slot(self, instance: str) -> Slot | None:
        """Return the instance of that name."""
        return next((slot for slot in self.slots if slot.spec.instance == instance), None)

    def baskets_of(self, instance: str) -> tuple[str, ...]:
        """Return the baskets to which klines go because of an instance."""
        return tuple({lane.baskets[instance] for lane in self if instance in lane.baskets})

    def add_slot(self, slot: Slot) -> None:
        """Give an instance the klines that it looks at."""
        strategy = slot.strategy
        self._lane(slot.spec.interval, _own(strategy)).slots.append(slot)
        for need in strategy.needs:
            self._lane(need.interval, need.klines).watchers.append(slot)

    def add_basket(self, spec: InstanceSpec, strategy: Strategy) -> None:
        """Give the basket of an instance with legs the klines that it looks at here."""
        leg = spec.leg_of(self._key)
        wanted = {spec.interval: _own(strategy)}
        for need in strategy.needs:
            if need.leg == leg:
                name = need.interval or spec.interval
                wanted[name] = max(wanted.get(name, 0), need.klines)
        for name, klines in wanted.items():
            self._lane(name, klines).baskets[spec.instance] = basket_key(self._key, spec)

    def drop(self, instance: str, slot: Slot | None) -> None:
        """Take an instance out; its klines stay until `tidy`."""
        for lane in self:
            lane.baskets.pop(instance, None)
            lane.slots = [one for one in lane.slots if one is not slot]
            lane.watchers = [one for one in lane.watchers if one is not slot]

    def tidy(self) -> None:
        """Forget the klines that nobody looks at."""
        self._lanes = {name: lane for name, lane in self._lanes.items() if not lane.is_idle}

    def prepend(self, fetched: Iterable[Kline]) -> int:
        """Put fetched klines before those kept; return how many could be used."""
        by_interval: dict[str, list[Kline]] = {}
        for kline in fetched:
            by_interval.setdefault(kline.interval.name, []).append(kline)
        return sum(
            self._lanes[name].history.prepend(klines)
            for name, klines in by_interval.items()
            if name in self._lanes
        )

    def seen_by(self, slot: Slot) -> Iterator[Kline]:
        """Return the kept klines that an instance looks at, as it would have got them."""
        names = (*(need.interval for need in slot.strategy.needs), slot.spec.interval)
        return in_order(self._lanes[name].history for name in names)

    def sent_to(self, basket: str) -> Iterator[Kline]:
        """Return the kept klines that a basket looks at, in their order."""
        return in_order(lane.history for lane in self if basket in lane.baskets.values())

    def snapshot(self) -> tuple[tuple[str, str, bytes], ...]:
        """Return the kept klines."""
        return tuple((name, *lane.history.snapshot()) for name, lane in sorted(self._lanes.items()))

    def restore(self, lanes: Iterable[tuple[str, str, bytes]]) -> None:
        """Take over kept klines, of intervals that somebody looks at.

        Raises:
            SnapshotError: They have another layout.

        """
        for name, layout, rows in lanes:
            if name in self._lanes:
                self._lanes[name].history.restore((layout, rows))

    def _lane(self, name: str, keep: int) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(History(self._key, interval(name), keep))
        lane.history.grow(keep)
        return lane


def _own(strategy: Strategy) -> int:
    return max(strategy.lookback, strategy.convergence)
