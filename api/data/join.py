"""One page of the lake and Redis together: each row once, in order.

Both give their first rows; what is first of both together is the page. The one that probably has
all of them is asked first, and tells how far into the other a page can reach at most.
"""

from dataclasses import dataclass, replace

from anyio import to_thread

from api.data.lake import lake_rows
from api.data.query import Place, Query, place_of, time_at, top
from api.data.tail import explained, tail_rows
from api.services import Services
from connectors.parquet.shelf import holds
from connectors.parquet.tables import Table
from connectors.redis.keys import meta_key
from core.market.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Joined:
    """A page.

    Attributes:
        table: The rows; None: none.
        next: Where the next page begins; None: this is the last one.
        lake: Whether there is a lake.
        redis: Whether Redis answered.

    """

    table: Table | None
    next: Place | None
    lake: bool
    redis: bool

    @property
    def headers(self) -> dict[str, str]:
        """What a client should know of where the rows are from."""
        own = [name for name, there in (("lake", self.lake), ("redis", self.redis)) if there]
        found = {"Data-Sources": ", ".join(own)}
        if not self.redis:
            found["Data-Missing"] = "redis is away: the newest rows may be missing"
        return found


async def join(own: Services, query: Query, count: int) -> Joined:
    """Return the first `count` rows of a query.

    Raises:
        ServiceError: Neither is there.
        FileError: A file of the lake is broken.

    """
    more = count + 1
    held: Table | None = None
    tail: Table | None = None
    away: ServiceError | None = None
    root = own.settings.lake.path
    there = await to_thread.run_sync(root.is_dir)
    if not query.descending:
        there, held = await to_thread.run_sync(lake_rows, root, query, more)
    try:
        tail = await tail_rows(own.bus, _narrowed(query, held, more), more, lake=there)
    except ServiceError as error:
        away = error
    if query.descending:
        narrowed = _narrowed(query, tail, more)
        there, held = await to_thread.run_sync(lake_rows, root, narrowed, more)
    if away is not None and not there:
        raise away
    table = await to_thread.run_sync(_both, held, tail, query, more)
    end = (
        place_of(table, count - 1, query) if table is not None and table.num_rows > count else None
    )
    return Joined(None if table is None else table.slice(0, count), end, there, away is None)


async def all_rows(own: Services, query: Query, count: int, most: int) -> list[Table]:
    """Return all rows of a query in tables of `count` rows, or so many rows at most."""
    found: list[Table] = []
    rows, after = 0, query.after
    while rows < most:
        page = await join(own, replace(query, after=after), min(count, most - rows))
        if page.table is not None:
            found.append(page.table)
            rows += page.table.num_rows
        if page.next is None:
            break
        after = page.next
    return found


async def is_known(own: Services, key: str) -> bool:
    """Say whether anything is held of an instrument."""
    try:
        async with explained():
            if await own.bus.exists(meta_key(key)):
                return True
    except ServiceError:
        pass  # then the lake alone is asked
    return await to_thread.run_sync(holds, own.settings.lake.path, key)


def _narrowed(query: Query, found: Table | None, count: int) -> Query:
    # What comes later than so many rows is not on the page, wherever it is.
    if found is None or found.num_rows < count:
        return query
    return query.until(time_at(found, count - 1, query))


def _both(held: Table | None, tail: Table | None, query: Query, count: int) -> Table | None:
    tables = [table for table in (held, tail) if table is not None]
    return top(tables, query, count) if tables else None
