"""What passes through a live flow, noted as it passes: for the heartbeat, never for a decision.

Written by the engine's workers, each for instruments of its own; read by the heartbeat's thread.
"""

from collections import defaultdict
from collections.abc import Iterable

import orjson

from core.market.events import Connected, Disconnected, Frame, GapOpened, Item, Rotated, Tick
from core.market.trades import Trades
from strategies.basket import Basket
from strategies.host import StrategyHost


class Pulse:
    """The newest of everything.

    Attributes:
        turns: How often the engine has called a source or a sink: while it rises, it works.
        snapshots: How many snapshots of sources were taken.
        newest: By key, the last trades handed out.
        clocks: By key, the exchange's time up to which the flow has everything, microseconds.
        links: By shard, the open links.
        hosts: By key, the strategy host of an instrument; the basket of an instance with legs.
        following: By shard, the symbols that are followed now.
        holes: By key, the last id of every hole that was ever opened and may still be.
        skew_us: The exchange's clock minus ours when the source began.

    """

    def __init__(self) -> None:
        self.turns = 0
        self.snapshots = 0
        self.newest: dict[str, Trades] = {}
        self.clocks: dict[str, int] = {}
        self.hosts: dict[str, StrategyHost | Basket] = {}
        self.following: dict[str, frozenset[str]] = {}
        self.links: defaultdict[str, set[int]] = defaultdict(set)
        self.holes: defaultdict[str, list[int]] = defaultdict(list)
        self.skew_us: int | None = None

    def see(self, batch: Iterable[tuple[str, Item]]) -> None:
        """Look at what a source hands out."""
        for key, item in batch:
            if isinstance(item, Trades):
                if len(item):
                    self.newest[key] = item
            elif isinstance(item, Frame):
                if item.kind == "start":
                    self._began(item)
                elif item.kind == "command":
                    self._commanded(item)
            elif isinstance(item, Tick):
                self.clocks[key] = item.time_us
            else:
                self._event(key, item)

    def open_holes(self, key: str) -> int:
        """Return how many holes of an instrument the flow has not passed yet."""
        holes = self.holes.get(key)
        if not holes:
            return 0
        newest = self.newest.get(key)
        if newest is not None:
            last = int(newest.id[-1])
            holes[:] = [end for end in holes if end > last]
        return len(holes)

    def _event(self, key: str, item: Item) -> None:
        match item:
            case Connected():
                self.links[key].add(item.link)
            case Rotated():
                self.links[key].discard(item.old_link)
            case Disconnected():
                self.links[key].discard(item.link)
            case GapOpened():
                self.holes[key].append(item.last_id)

    def _began(self, frame: Frame) -> None:
        self.links[frame.key].clear()
        plan = orjson.loads(frame.payload)
        self.following[frame.key] = frozenset(plan.get("symbols", ()))
        clock_us = int(plan.get("clock_us", 0))
        if clock_us:
            self.skew_us = clock_us - frame.received_us

    def _commanded(self, frame: Frame) -> None:
        body = orjson.loads(frame.payload)
        known = self.following.get(frame.key, frozenset())
        more, less = body.get("subscribe", ()), body.get("unsubscribe", ())
        self.following[frame.key] = (known | frozenset(more)) - frozenset(less)


PULSE = Pulse()
"""The process's own."""
