"""What passes through a live flow, noted as it passes: for the heartbeat, never for a decision.

Written by the engine's workers, each for instruments of its own; read by the heartbeat's thread.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

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
        links: By shard, when each open link was opened, microseconds.
        rotate_us: By shard, the age at which links are replaced; 0: never.
        told: By shard and name, what symbols are told since a command (`Wanted` as JSON).
        hosts: By key, the strategy host of an instrument; the basket of an instance with legs.
        following: By shard, the symbols that are followed now.
        holes: By key, the last id of every hole that was ever opened and may still be.
        skew_us: The exchange's clock minus ours when the source began.
        changed: Set by what people wait to see: a command was obeyed.

    """

    def __init__(self) -> None:
        self.turns = 0
        self.snapshots = 0
        self.newest: dict[str, Trades] = {}
        self.clocks: dict[str, int] = {}
        self.hosts: dict[str, StrategyHost | Basket] = {}
        self.following: dict[str, frozenset[str]] = {}
        self.links: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self.rotate_us: dict[str, int] = {}
        self.told: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.holes: defaultdict[str, list[int]] = defaultdict(list)
        self.skew_us: int | None = None
        self.changed = threading.Event()

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
                self.links[key][item.link] = item.time_us
            case Rotated():
                self.links[key].pop(item.old_link, None)
            case Disconnected():
                self.links[key].pop(item.link, None)
            case GapOpened():
                self.holes[key].append(item.last_id)

    def _began(self, frame: Frame) -> None:
        self.links[frame.key].clear()
        plan = orjson.loads(frame.payload)
        self.following[frame.key] = frozenset(plan.get("symbols", ()))
        self.rotate_us[frame.key] = int(plan.get("rotate_us", 0))
        standing = plan.get("standing", {})
        self.told[frame.key] = {name: one["payload"] for name, one in standing.items()}
        clock_us = int(plan.get("clock_us", 0))
        if clock_us:
            self.skew_us = clock_us - frame.received_us

    def _commanded(self, frame: Frame) -> None:
        body = orjson.loads(frame.payload)
        known = self.following.get(frame.key, frozenset())
        more, less = body.get("subscribe", ()), body.get("unsubscribe", ())
        self.following[frame.key] = (known | frozenset(more)) - frozenset(less)
        if "tell" in body:
            self._told(frame.key, body["tell"])
        if body:
            self.changed.set()

    def _told(self, shard: str, said: Mapping[str, Any]) -> None:
        told = self.told[shard]
        if said["lasting"]:
            told[said["name"]] = said["message"]["payload"]
        else:
            told.pop(said["name"], None)


PULSE = Pulse()
"""The process's own."""
