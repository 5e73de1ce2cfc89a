"""Indicators over klines, for charts."""

from dataclasses import replace
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request

from api.data.asked import from_cursor, interval_of, to_cursor
from api.data.columns import values
from api.data.indicators import Wanted, computed, wanted
from api.data.join import all_rows, join
from api.data.query import Query as Rows
from api.data.query import time_at
from api.data.shapes import KLINES
from api.problems import ProblemError
from api.routes.data import Interval, known
from api.routes.pages import Paging, Symbol
from api.security.guard import Reader
from api.services import Services, With
from client.data import IndicatorPage
from connectors.parquet.tables import Table
from core.market.intervals import INTERVALS

router = APIRouter(tags=["data"])

_OWN = {"interval", "name", "from", "to", "limit", "cursor", "order", "format"}
_CHUNK = 10_000


@router.get("/indicators/{symbol}", summary="Values of an indicator")
async def indicators(
    symbol: Symbol,
    own: With,
    _caller: Reader,
    asked: Paging,
    request: Request,
    name: Annotated[str, Query(max_length=40, description="Of the indicator.", examples=["rsi"])],
    interval: Interval = "1m",
) -> IndicatorPage:
    """Compute an indicator over the klines of a page, warmed up with those before it.

    Its parameters are further parameters of the request, such as `period=14`; one of any series
    takes `source`, such as `high`, too. Pages are those of `/klines`.
    """
    if asked.format != "json":
        raise ProblemError(422, "values of indicators come as JSON only", field="format")
    given = {n: text for n, text in request.query_params.items() if n not in _OWN}
    want = wanted(name, given, INTERVALS[interval_of(interval)])
    key = await known(own, symbol)
    query = Rows(KLINES, (key,), interval, asked.start_us, asked.end_us, asked.descending)
    query = replace(query, after=from_cursor(asked.cursor, query))
    page = await join(own, query, asked.rows)
    before = [] if page.table is None else await _before(own, query, page.table, want)
    seen = sum(table.num_rows for table in before)
    return await to_thread.run_sync(
        _page, query, want, page.table, before, seen, to_cursor(page.next, query)
    )


async def _before(own: Services, query: Rows, page: Table, want: Wanted) -> list[Table]:
    if not want.warmup:
        return []
    first_us = time_at(page, page.num_rows - 1 if query.descending else 0, query)
    earlier = replace(query, start_us=None, end_us=first_us, descending=True, after=None)
    found = await all_rows(own, earlier, _CHUNK, want.warmup)
    return [_turned(table) for table in reversed(found)]


def _page(
    query: Rows,
    want: Wanted,
    page: Table | None,
    before: list[Table],
    seen: int,
    cursor: str | None,
) -> IndicatorPage:
    indicator = want.indicator
    shown = [] if page is None else [_turned(page) if query.descending else page]
    items = computed(want, [*before, *shown], seen)
    opens = [at for table in shown for at in values(table, "open_time")]
    missing = max(0, indicator.convergence - 1 - seen)
    return IndicatorPage(
        items=items[::-1] if query.descending else items,
        next=cursor,
        name=indicator.name,
        parameters=want.parameters,
        outputs=want.outputs,
        lookback=indicator.lookback,
        convergence=indicator.convergence,
        converged_from_us=opens[missing] if missing < len(opens) and indicator.settles else None,
    )


def _turned(table: Table) -> Table:
    return table.take(list(range(table.num_rows - 1, -1, -1)))
