"""The first rows of Redis that answer a query.

An entry's id begins with a time that is never below that of the entry (or of one before it). So
entries from a time on are found by id, and going back can end where ids are older than what is
held. Entries may be late, though, so that going forward goes to the end, with two exceptions.
Trades are never late. And what is emitted at the close of its kline (`Shape.is_prompt`) is late
only after a repair; where there is a lake it has such rows too, but for the very newest. So there
the newest entries are looked at, and those around the time that is asked for.

Where the data are ahead of the server's clock (a replay of tomorrow) ids say nothing: all entries
are read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import redis
from anyio import to_thread
from redis.asyncio import Redis

from api.data.query import SOURCE, Query, time_at, top
from api.data.shapes import KLINES, TRADES, Shape, time_us_of
from connectors.parquet.tables import Table
from connectors.redis.keys import PATTERN, REGISTRY, parse_key, stream_key
from core.market.errors import ServiceError
from core.market.intervals import DAY_US, INTERVALS
from core.market.records import Fields

_PAGE = 2000
_AT_ONCE = 8
_NEWEST = 1000
_STEPS_BACK_MS = 60_000
_LATE_MS = 3_600_000
_FOREVER_US = 1 << 61
_HINT = "is it running, is REDIS_URL right?"


@asynccontextmanager
async def explained() -> AsyncIterator[None]:
    """Raise `ServiceError` where Redis is not there."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise ServiceError("redis", str(error), hint=_HINT) from None


async def tail_rows(bus: Redis, query: Query, count: int, *, lake: bool = False) -> Table | None:
    """Return up to `count` rows, in order; None: there are none.

    Args:
        bus: Redis.
        query: Which rows.
        count: How many.
        lake: Whether there is a lake as well.

    Raises:
        ServiceError: Redis is not there.

    """
    async with explained():
        names = await streams_of(bus, query)
        found: Table | None = None
        for n in range(0, len(names), _AT_ONCE):
            some = names[n : n + _AT_ONCE]
            kept = [_Kept(bus, key, name, query, count, lake) for key, name in some]
            pieces = [p for p in await asyncio.gather(*map(_rows, kept)) if p is not None]
            if pieces:
                both = pieces if found is None else [found, *pieces]
                found = await to_thread.run_sync(top, both, query, count)
        return found


async def streams_of(bus: Redis, query: Query) -> list[tuple[str, str]]:
    """Return (key, name) of the streams that may hold rows."""
    kind = query.shape.stream
    if query.keys is not None:
        return [(key, stream_key(key, kind, query.interval)) for key in query.keys]
    found = [(name, parse_key(name)) for name in await stream_names(bus)]
    return sorted((said.key, name) for name, said in found if said and said.kind == kind)


async def stream_names(bus: Redis) -> list[str]:
    """Return the names of all streams."""
    registered: Any = await bus.smembers(REGISTRY)
    if registered:
        return list(registered)
    return [name async for name in bus.scan_iter(match=PATTERN, count=1000, _type="stream")]


async def newest_entry(bus: Redis, name: str) -> Fields | None:
    """Return a stream's newest entry."""
    async with explained():
        rows: Any = await bus.xrevrange(name, count=1)
    return dict(rows[0][1]) if rows else None


@dataclass(slots=True)
class _Kept:
    """The first rows of one stream so far; only those inside become a table."""

    bus: Redis
    key: str
    name: str
    query: Query
    count: int
    lake: bool
    ahead: bool = False
    found: Table | None = None

    @property
    def is_full(self) -> bool:
        return self.found is not None and self.found.num_rows >= self.count

    @property
    def last_us(self) -> int:
        assert self.found is not None
        return time_at(self.found, self.found.num_rows - 1, self.query)

    @property
    def late_ms(self) -> int | None:
        """How late an entry may be, but for the newest; None: as late as can be."""
        if self.ahead:
            return None
        if self.query.shape is TRADES:
            return _STEPS_BACK_MS
        if not (self.lake and self.query.shape.is_prompt):
            return None
        return _LATE_MS + _length_ms(self.query)

    def start(self) -> str:
        low, _ = self.query.span
        return "-" if self.ahead else f"{max(0, low // 1000)}-0"

    def end(self) -> str:
        _, high = self.query.span
        if self.late_ms is None or high >= _FOREVER_US:
            return "+"
        return str(max(0, high // 1000) + self.late_ms)

    def is_behind(self, entry: str) -> bool:
        """Say whether what comes after an entry, going forward, is surely not wanted."""
        if self.late_ms is None:
            return False
        _, high = self.query.span
        until_us = min(high, self.last_us) if self.is_full else high
        return _ms(entry) > until_us // 1000 + self.late_ms

    def is_before(self, entry: str) -> bool:
        """Say the same of what comes before it, going back."""
        return self.is_full and not self.ahead and _ms(entry) < self.last_us // 1000

    def take(self, rows: Sequence[tuple[str, Fields]]) -> None:
        query = self.query if not self.is_full else self.query.until(self.last_us)
        low, high = query.span
        shape = query.shape
        inside = [fields for _, fields in rows if low <= time_us_of(shape, fields) <= high]
        if inside:
            pieces = [_table(shape, self.key, run) for run in _runs(inside)]
            kept = pieces if self.found is None else [self.found, *pieces]
            self.found = top(kept, query, self.count)


async def _rows(kept: _Kept) -> Table | None:
    newest: Any = await kept.bus.xrevrange(kept.name, count=1)
    if not newest:
        return None
    kept.ahead = time_us_of(kept.query.shape, newest[0][1]) // 1000 > _ms(newest[0][0])
    await (_back if kept.query.descending else _on)(kept)
    if kept.late_ms is not None and kept.query.shape is not TRADES:
        rows: Any = await kept.bus.xrevrange(kept.name, min=kept.start(), count=_NEWEST)
        await to_thread.run_sync(kept.take, rows)
    return kept.found


def _length_ms(query: Query) -> int:
    # Klines are asked for by their start; their entries have the time of their end.
    if query.shape is not KLINES:
        return 0
    return (INTERVALS[query.interval].length_us or 31 * DAY_US) // 1000


def _ms(entry: str) -> int:
    return int(entry.partition("-")[0])


async def _on(kept: _Kept) -> None:
    start = kept.start()
    size = min(_PAGE, kept.count + 1)
    while True:
        rows: Any = await kept.bus.xrange(kept.name, min=start, count=size)
        if rows:
            await to_thread.run_sync(kept.take, rows)
        if len(rows) < size or kept.is_behind(rows[-1][0]):
            return
        if kept.is_full and kept.query.shape is TRADES:
            return
        start, size = f"({rows[-1][0]}", _PAGE


async def _back(kept: _Kept) -> None:
    end, start = kept.end(), kept.start()
    size = min(_PAGE, kept.count + 1)
    while True:
        rows: Any = await kept.bus.xrevrange(kept.name, max=end, min=start, count=size)
        if rows:
            await to_thread.run_sync(kept.take, rows)
        if len(rows) < size or kept.is_before(rows[-1][0]):
            return
        if kept.is_full and kept.query.shape is TRADES:
            return
        end, size = f"({rows[-1][0]}", _PAGE


def _table(shape: Shape, key: str, rows: Sequence[Fields]) -> Table:
    table = shape.table([(key, row) for row in rows])
    return table.append_column(SOURCE, pa.repeat(pa.scalar(2, pa.int8()), table.num_rows))


def _runs(rows: Sequence[Fields]) -> list[Sequence[Fields]]:
    # A stream whose feed was changed has both trades and aggregates.
    kinds: Callable[[Fields], bool] = lambda row: "first_id" in row  # noqa: E731 - said once
    cuts = [n for n in range(1, len(rows)) if kinds(rows[n]) != kinds(rows[n - 1])]
    return [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
