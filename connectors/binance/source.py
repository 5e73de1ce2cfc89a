"""Bytewax shell of the live source: one partition per shard, each with its own driver."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic

import orjson
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.binance.config import BinanceConfig
from connectors.binance.driver import Batch, Driver
from connectors.binance.passing import note_batch
from connectors.binance.subscriptions import (
    Inbox,
    Planner,
    Subscriptions,
    merged,
    shard_of,
)
from connectors.shutdown import STOP, one_error
from core.exchange.plan import Plan, Standing
from core.market.errors import ConfigError
from core.market.events import Frame, Item
from telemetry import metrics
from telemetry.books import BOOKS

_IDLE = timedelta(milliseconds=1)
_SHOW_S = 0.0002
"""For each symbol, between two looks at the books: they are summed over all symbols."""

_PLAN = {"next_ids", "scales", "statuses", "standing"}
"""What of the plan in a snapshot is gone on with."""

Snapshot = dict[str, object]
"""The plan to resume with, as plain values; `configured`: the symbols of the settings, `control`:
the last command obeyed."""

Inboxes = Callable[[str], Inbox]
"""Opens the control stream behind the given position; empty: from now on."""


StandingOf = Callable[[Mapping[str, Standing]], dict[str, Standing]]
"""Makes of the messages that symbols were told before a start those that they are told at it."""


def _check_room(config: BinanceConfig, symbols: tuple[str, ...], streams_each: int) -> None:
    shards = Counter(shard_of(symbol, config.shards) for symbol in symbols)
    limit, fullest = config.place.streams_per_link, max(shards.values(), default=0)
    if fullest * streams_each > limit:
        why = (
            f"{config.shards} cannot carry {len(symbols)} symbols: {limit} streams to a connection"
        )
        wanted = -(-len(symbols) * streams_each * 5 // (limit * 4))  # hashing is uneven
        raise ConfigError("binance.shards", why, hint=f"set it to {wanted} or more")


class BinancePartition(StatefulSourcePartition[tuple[str, Item], Snapshot]):
    """Hands out what one driver received.

    Args:
        driver: Of the shard.
        configured: The symbols of the settings that belong to it.
        inbox: Where commands come from; None: there are none.
        subscriptions: What obeys them.

    """

    def __init__(
        self,
        driver: Driver,
        configured: tuple[str, ...],
        inbox: Inbox | None,
        subscriptions: Subscriptions,
    ) -> None:
        self._driver = driver
        self._configured = list(configured)
        self._inbox = inbox
        self._obeyed = "" if inbox is None else inbox.since
        self._books = metrics.RowBooks()
        self._show_at = 0.0
        self._pending = metrics.SOURCE_PENDING.labels(driver.plan().key)
        self._awake: datetime | None = None
        self._stopped = False
        driver.start()
        if inbox is not None:
            inbox.start(subscriptions.obey)

    def next_batch(self) -> list[tuple[str, Item]]:
        """Return what arrived since the last call; never waits."""
        if self._stopped:
            raise StopIteration
        if STOP.is_set():
            self._end()
            self._stopped = True
        with one_error():
            batch = self._driver.take()
            self._note(batch)
        if self._stopped or monotonic() > self._show_at:
            self.decided()
        self._awake = None if batch else datetime.now(UTC) + _IDLE
        return batch

    def next_awake(self) -> datetime | None:
        """Say when to ask again: at once while data flows, else in a millisecond."""
        return self._awake

    def snapshot(self) -> Snapshot:
        """Return the subscriptions and the next id per symbol, as handed out."""
        plan = self._driver.resume().model_dump(mode="json")
        return plan | {"configured": self._configured, "control": self._obeyed}

    def _note(self, batch: Batch) -> None:
        # A command counts as obeyed when it was handed out: what came of it is in a snapshot then.
        first, messages = None, 0
        for _, item in batch:
            if type(item) is not Frame:
                break  # inputs come first
            if item.kind == "frame":
                first = first or item
                messages += 1
            elif item.kind == "command":
                self._obeyed = orjson.loads(item.payload).get("entry") or self._obeyed
        if first is not None:
            received_ns = self._driver.monotonic_ns(first.received_us)
            note_batch(batch, first, messages, received_ns, self._driver.skew_us)

    def decided(self) -> int:
        """Show the books; return how many rows were received and wait for nothing any more."""
        totals, pending = self._driver.books()
        self._show_at = monotonic() + _SHOW_S * len(totals)
        self._books.show(totals)
        self._pending.set(pending)
        return sum(received for received, _, _ in totals.values()) - pending

    def close(self) -> None:
        """End the threads."""
        self._end()
        self.decided()

    def _end(self) -> None:
        if self._inbox is not None:
            self._inbox.stop()
        self._driver.stop()


class BinanceSource(FixedPartitionedSource[tuple[str, Item], Snapshot]):
    """Trades of symbols, live: each id once, in order, holes repaired or named."""

    def __init__(
        self,
        config: BinanceConfig,
        symbols: tuple[str, ...],
        *,
        audit: tuple[str, ...] = (),
        inboxes: Inboxes | None = None,
        planner: Planner | None = None,
        standing: StandingOf | None = None,
        dice: Callable[[], random.Random] = random.Random,
    ) -> None:
        _check_room(config, symbols, 1 + len(audit))
        self._inboxes, self._planner, self._standing = inboxes, planner, standing
        self._config = config
        self._symbols = symbols
        self._audit = audit
        self._dice = dice

    def list_parts(self) -> list[str]:
        """Return a name per shard."""
        return [f"shard-{n:02d}" for n in range(self._config.shards)]

    def build_part(
        self, _step_id: str, for_part: str, resume_state: Snapshot | None
    ) -> BinancePartition:
        """Return the partition, going on where its snapshot stood."""
        shard, shards = int(for_part.rpartition("-")[2]), self._config.shards
        own = tuple(s for s in self._symbols if shard_of(s, shards) == shard)
        plan = Plan(
            exchange=self._config.place.exchange,
            shard=shard,
            symbols=own,
            feed=self._config.feed,
            audit=self._audit,
        )
        control = ""
        if resume_state is not None:
            state = dict(resume_state)
            control, before = str(state.pop("control", "")), state.pop("configured", None)
            known = Plan.model_validate(state)
            followed = own if before is None else merged(own, _names(before), known.symbols)
            update = {name: getattr(known, name) for name in _PLAN} | {"symbols": followed}
            plan = plan.model_copy(update=update)
        if self._standing is not None:
            plan = plan.model_copy(update={"standing": self._standing(plan.standing)})
        driver = Driver(self._config, plan, dice=self._dice())
        room = self._config.place.streams_per_link // (1 + len(self._audit))
        subscriptions = Subscriptions(
            driver, shard=shard, shards=shards, room=room, planner=self._planner
        )
        inbox = None if self._inboxes is None else self._inboxes(control)
        part = BinancePartition(driver, own, inbox, subscriptions)
        BOOKS.open_source(for_part, part.decided)
        return part


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
