"""The kline that is not final yet, at its end of a page."""

from dataclasses import replace

from fastapi.responses import Response

from api.data.asked import from_cursor
from api.data.join import join
from api.data.query import Query
from api.data.shapes import KLINES, Item
from api.data.tail import newest_entry
from api.routes.pages import Asked, page_of
from api.services import Services
from connectors.redis.keys import stream_key
from core.market.errors import ServiceError


async def with_forming(own: Services, query: Query, asked: Asked) -> Response:
    """Return a page of klines, with the forming one where the page holds the newest."""
    query = replace(query, descending=asked.descending)
    query = replace(query, after=from_cursor(asked.cursor, query))
    page = await join(own, query, asked.rows)
    items = [] if page.table is None else KLINES.items(page.table)
    newest = query.after is None if query.descending else page.next is None
    if newest:
        item = await _forming(own, query)
        if item is not None and not _is_old(item, items, query):
            items.insert(0 if query.descending else len(items), item)
    return await page_of(page, query, items)


async def _forming(own: Services, query: Query) -> Item | None:
    (key,) = query.keys or ("",)
    try:
        fields = await newest_entry(own.bus, stream_key(key, "forming", query.interval))
    except ServiceError:
        return None
    if fields is None:
        return None
    (item,) = KLINES.items(KLINES.table([(key, fields)]))
    low, high = query.span
    return item | {"status": "forming"} if low <= item["open_us"] <= high else None


def _is_old(item: Item, items: list[Item], query: Query) -> bool:
    # The stream still has it when it is final.
    if not items:
        return False
    last = items[0] if query.descending else items[-1]
    return bool(item["open_us"] <= last["open_us"])
