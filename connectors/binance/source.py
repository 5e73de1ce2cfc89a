"""Bytewax shell of the live source: one partition per shard, each with its own driver."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zlib import crc32

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.binance.config import BinanceConfig
from connectors.binance.driver import Driver
from connectors.shutdown import STOP, one_error
from core.exchange.plan import Plan
from core.market.errors import ConfigError
from core.market.events import Item
from telemetry import metrics

_IDLE = timedelta(milliseconds=1)

Snapshot = dict[str, object]
"""The plan to resume with, as plain values."""


def shard_of(symbol: str, shards: int) -> int:
    """Return the shard of a symbol: the same on every machine and in every run."""
    return crc32(symbol.encode()) % shards


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
    """Hands out what one driver received."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._books = metrics.RowBooks()
        self._awake: datetime | None = None
        self._stopped = False
        driver.start()

    def next_batch(self) -> list[tuple[str, Item]]:
        """Return what arrived since the last call; never waits."""
        if self._stopped:
            raise StopIteration
        if STOP.is_set():
            self._driver.stop()
            self._stopped = True
        with one_error():
            batch = self._driver.take()
        if batch:
            self._books.show(self._driver.totals())
        self._awake = None if batch else datetime.now(UTC) + _IDLE
        return batch

    def next_awake(self) -> datetime | None:
        """Say when to ask again: at once while data flows, else in a millisecond."""
        return self._awake

    def snapshot(self) -> Snapshot:
        """Return the subscriptions and the next id per symbol, as handed out."""
        return self._driver.resume().model_dump(mode="json")

    def close(self) -> None:
        """End the driver's thread."""
        self._driver.stop()


class BinanceSource(FixedPartitionedSource[tuple[str, Item], Snapshot]):
    """Trades of symbols, live: each id once, in order, holes repaired or named."""

    def __init__(
        self,
        config: BinanceConfig,
        symbols: tuple[str, ...],
        *,
        audit: tuple[str, ...] = (),
        dice: Callable[[], random.Random] = random.Random,
    ) -> None:
        _check_room(config, symbols, 1 + len(audit))
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
        shard = int(for_part.rpartition("-")[2])
        own = tuple(s for s in self._symbols if shard_of(s, self._config.shards) == shard)
        plan = Plan(
            exchange=self._config.place.exchange,
            shard=shard,
            symbols=own,
            feed=self._config.feed,
            audit=self._audit,
        )
        if resume_state is not None:
            known = Plan.model_validate(resume_state)
            state = {"next_ids", "scales", "statuses"}
            plan = plan.model_copy(update={name: getattr(known, name) for name in state})
        return BinancePartition(Driver(self._config, plan, dice=self._dice()))
