"""What passes through a live flow, noted as it passes: for the heartbeat, never for a decision.

Written by the engine's workers, each for instruments of its own; read by the heartbeat's thread.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

import orjson

from core.market.events import (
    Connected,
    Disconnected,
    Frame,
    Gap,
    GapOpened,
    GapRepaired,
    Item,
    Rotated,
    Tick,
)
from core.market.trades import Trades
from strategies.basket import Basket
from strategies.host import StrategyHost
from telemetry import metrics
from telemetry.passage import PASSAGE


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
        messages: By shard and link, how many messages came on each open link.
        closed_messages: By shard, how many came on links that are gone.
        repairs: By key and first id, when holes that are being repaired were found, and their last
            id; monotonic seconds.
        balance: Set where the books are to be looked at, between two turns of the engine.
        books: What their remainder was then (`telemetry.books`).
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
        self.messages: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self.closed_messages: defaultdict[str, int] = defaultdict(int)
        self.repairs: defaultdict[str, dict[int, tuple[float, int]]] = defaultdict(dict)
        self.balance = False
        self.books: dict[str, int] = {}
        self.skew_us: int | None = None
        self.changed = threading.Event()

    def see(self, batch: Iterable[tuple[str, Item]]) -> None:
        """Look at what a source hands out."""
        for key, item in batch:
            if isinstance(item, Trades):
                if len(item):
                    self.newest[key] = item
            elif isinstance(item, Frame):
                if item.kind == "frame":
                    links = self.messages[item.key]
                    links[item.link] = links.get(item.link, 0) + 1
                else:
                    self._input(item)
            elif isinstance(item, Tick):
                self.clocks[key] = item.time_us
            else:
                self._event(key, item)

    def received(self, shard: str) -> int:
        """Return how many messages came to a shard."""
        return self.closed_messages.get(shard, 0) + sum(self.messages.get(shard, {}).values())

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

    def _input(self, frame: Frame) -> None:
        if frame.kind == "start":
            self._began(frame)
        elif frame.kind == "command":
            self._commanded(frame)

    def _event(self, key: str, item: Item) -> None:
        match item:
            case Connected():
                self.links[key][item.link] = item.time_us
            case Rotated():
                self._gone(key, item.old_link)
            case Disconnected():
                if self._gone(key, item.link):
                    metrics.RECONNECTS.labels(key).inc()
            case GapOpened():
                self.holes[key].append(item.last_id)
                self.repairs[key][item.first_id] = monotonic(), item.last_id
            case GapRepaired():
                self._ended(key, item.first_id, "repaired")
            case Gap():
                self._missing(key, item)

    def _gone(self, key: str, link: int) -> bool:
        self.closed_messages[key] += self.messages[key].pop(link, 0)
        return self.links[key].pop(link, None) is not None

    def _missing(self, key: str, gap: Gap) -> None:
        for first_id, (_, last_id) in list(self.repairs[key].items()):
            if first_id <= gap.first_id and last_id <= gap.last_id:
                self._ended(key, first_id, "permanent")

    def _ended(self, key: str, first_id: int, outcome: str) -> None:
        found = self.repairs[key].pop(first_id, None)
        if found is not None:
            now = monotonic()
            metrics.REPAIRS.labels(outcome).observe(now - found[0])
            if PASSAGE.traces is not None:
                PASSAGE.traces.repair(key, outcome, int(found[0] * 1e9), int(now * 1e9))

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
