"""The first rows of Redis that answer a query.

An entry's id begins with a time that is never below that of the entry (or of one before it). So
entries from a time on are found by id, and going back can end where ids are older than what is
held. Entries may be late, though: going forward goes to the end. Trades are never late. Where the
data are ahead of the server's clock (a replay of tomorrow) ids say nothing: all entries are read.
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
from api.data.shapes import TRADES, Shape, time_us_of
from connectors.parquet.tables import Table
from connectors.redis.keys import PATTERN, REGISTRY, parse_key, stream_key
from core.market.errors import ServiceError
from core.market.records import Fields

_PAGE = 2000
_AT_ONCE = 8
_STEPS_BACK_MS = 60_000
_HINT = "is it running, is REDIS_URL right?"


@asynccontextmanager
async def explained() -> AsyncIterator[None]:
    """Raise `ServiceError` where Redis is not there."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise ServiceError("redis", str(error), hint=_HINT) from None


async def tail_rows(bus: Redis, query: Query, count: int) -> Table | None:
    """Return up to `count` rows, in order; None: there are none.

    Raises:
        ServiceError: Redis is not there.

    """
    async with explained():
        names = await streams_of(bus, query)
        found: Table | None = None
        for n in range(0, len(names), _AT_ONCE):
            own = [_rows(bus, key, name, query, count) for key, name in names[n : n + _AT_ONCE]]
            pieces = [piece for piece in await asyncio.gather(*own) if piece is not None]
            if pieces:
                kept = pieces if found is None else [found, *pieces]
                found = await to_thread.run_sync(top, kept, query, count)
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

    key: str
    query: Query
    count: int
    found: Table | None = None

    @property
    def is_full(self) -> bool:
        return self.found is not None and self.found.num_rows >= self.count

    @property
    def last_us(self) -> int:
        assert self.found is not None
        return time_at(self.found, self.found.num_rows - 1, self.query)

    def take(self, rows: Sequence[tuple[str, Fields]]) -> None:
        query = self.query if not self.is_full else self.query.until(self.last_us)
        low, high = query.span
        shape = query.shape
        inside = [fields for _, fields in rows if low <= time_us_of(shape, fields) <= high]
        if inside:
            pieces = [_table(shape, self.key, run) for run in _runs(inside)]
            kept = pieces if self.found is None else [self.found, *pieces]
            self.found = top(kept, query, self.count)


async def _rows(bus: Redis, key: str, name: str, query: Query, count: int) -> Table | None:
    newest: Any = await bus.xrevrange(name, count=1)
    if not newest:
        return None
    ahead = time_us_of(query.shape, newest[0][1]) // 1000 > _ms(newest[0][0])
    kept = _Kept(key, query, count)
    step = _back if query.descending else _on
    await step(bus, name, kept, ahead=ahead)
    return kept.found


def _ms(entry: str) -> int:
    return int(entry.partition("-")[0])


async def _on(bus: Redis, name: str, kept: _Kept, *, ahead: bool) -> None:
    low, high = kept.query.span
    start = "-" if ahead else f"{max(0, low // 1000)}-0"
    trades = kept.query.shape is TRADES
    while True:
        rows: Any = await bus.xrange(name, min=start, count=_PAGE)
        if rows:
            await to_thread.run_sync(kept.take, rows)
        late = not trades or not rows
        if len(rows) < _PAGE or (not late and (kept.is_full or int(rows[-1][1]["time_us"]) > high)):
            return
        start = f"({rows[-1][0]}"


async def _back(bus: Redis, name: str, kept: _Kept, *, ahead: bool) -> None:
    low, high = kept.query.span
    trades = kept.query.shape is TRADES
    known = trades and not ahead and high < 1 << 61
    end = f"{max(0, high // 1000) + _STEPS_BACK_MS}" if known else "+"
    start = "-" if ahead else f"{max(0, low // 1000)}-0"
    size = min(_PAGE, kept.count + 1)
    while True:
        rows: Any = await bus.xrevrange(name, max=end, min=start, count=size)
        if rows:
            await to_thread.run_sync(kept.take, rows)
        if len(rows) < size:
            return
        older = not ahead and kept.is_full and _ms(rows[-1][0]) < kept.last_us // 1000
        if older or (trades and kept.is_full):
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
