"""What routes of data share: their parameters, pages as JSON, downloads."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import orjson
from anyio import to_thread
from fastapi import Depends, Path, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from api.data.asked import from_cursor, span_of, to_cursor
from api.data.formats import (
    MEDIA,
    disposition,
    download_schema,
    encoder,
    scales_of,
    stored_scales,
)
from api.data.join import Joined, join
from api.data.query import Query as Rows
from api.data.shapes import TRADES, Item
from api.problems import ProblemError
from api.services import Services

LOG = logging.getLogger("cryptotools.api")

MOST_ROWS = 10_000
_DEFAULT = 500
_CHUNK = 65_536
_NO_END = 1 << 62

Format = Literal["json", "csv", "arrow", "parquet"]

Symbol = Annotated[
    str,
    Path(description="BTCUSDT, or binance:BTCUSDT where there are several exchanges.",
         max_length=80, examples=["BTCUSDT"]),
]  # fmt: skip

Filter = Annotated[str | None, Query(max_length=80)]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows, how many, in which order, and as what."""

    start_us: int | None
    end_us: int | None
    descending: bool
    limit: int | None
    cursor: str | None
    format: Format

    @property
    def rows(self) -> int:
        """How many rows a page of JSON has."""
        return self.limit or _DEFAULT


def _asked(
    from_: Annotated[
        str | None,
        Query(alias="from", description="First time: ISO 8601 (UTC unless it says otherwise), or "
              "milliseconds or microseconds since 1970.", examples=["2025-01-31T00:00:00Z"]),
    ] = None,
    to: Annotated[str | None, Query(description="End of time, not included.")] = None,
    limit: Annotated[
        int | None,
        Query(ge=1, description=f"Rows of a page, {_DEFAULT} unless given, {MOST_ROWS} at most; "
              "of a download: all unless given."),
    ] = None,
    cursor: Annotated[
        str | None, Query(max_length=2000, description="`next` of the page before.")
    ] = None,
    order: Annotated[
        Literal["asc", "desc"], Query(description="desc: newest first.")
    ] = "desc",
    format: Annotated[  # noqa: A002 - the name in the contract
        Format, Query(description="Anything but json is a download without pages.")
    ] = "json",
) -> Asked:  # fmt: skip
    start, end = span_of(from_, to)
    if format == "json" and limit is not None and limit > MOST_ROWS:
        hint = "follow `next`, or ask for a download: format=csv, arrow or parquet"
        raise ProblemError(422, f"`{limit}` is more than {MOST_ROWS}", field="limit", hint=hint)
    return Asked(start, end, order == "desc", limit, cursor, format)


Paging = Annotated[Asked, Depends(_asked)]
"""The parameters of a route that gives rows."""


def described(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of a route of rows."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        200: {
            "model": model,
            "description": "Rows. `Data-Sources` says where they are from.",
            "content": {"text/csv": {"schema": {"type": "string"}},
                        MEDIA["arrow"]: binary, MEDIA["parquet"]: binary},
            "headers": {
                "Data-Sources": {
                    "description": "lake, redis",
                    "schema": {"type": "string"},
                },
                "Data-Missing": {
                    "description": "What may be missing, because Redis is away.",
                    "schema": {"type": "string"},
                },
            },
        }
    }  # fmt: skip


async def answer(own: Services, query: Rows, asked: Asked, name: str) -> Response:
    """Return a page, or a download whose file is called `name`."""
    query = replace(query, descending=asked.descending)
    query = replace(query, after=from_cursor(asked.cursor, query))
    if asked.format != "json":
        return await download(own, query, asked, name)
    page = await join(own, query, asked.rows)
    return await page_of(page, query)


async def page_of(page: Joined, query: Rows, items: list[Item] | None = None) -> Response:
    """Return a page as JSON; `items` where they are already made."""

    def made() -> bytes:
        rows = items
        if rows is None:
            rows = [] if page.table is None else query.shape.items(page.table)
        return orjson.dumps({"items": rows, "next": to_cursor(page.next, query)})

    body = await to_thread.run_sync(made)
    return Response(body, media_type="application/json", headers=page.headers)


async def download(own: Services, query: Rows, asked: Asked, name: str) -> Response:
    """Return all rows as a file."""
    left = asked.limit or _NO_END
    first = await join(own, query, min(_CHUNK, left))
    scales: set[tuple[int, int, bool]] = set()
    if query.shape is TRADES:
        scales = await to_thread.run_sync(stored_scales, own.settings.lake.path, query)
        if first.table is not None and not scales:
            scales = await _scales(own, query, first)
    schema = download_schema(query.shape, scales)
    headers = first.headers | {
        "Content-Disposition": disposition(f"{name}.{asked.format}"),
        "X-Content-Type-Options": "nosniff",
    }
    made = encoder(asked.format, query.shape, schema)
    body = _pieces(own, query, first, left, made)
    return StreamingResponse(body, media_type=MEDIA[asked.format], headers=headers)


async def _scales(own: Services, query: Rows, first: Joined) -> set[tuple[int, int, bool]]:
    # Nothing is in files yet: the rows of Redis themselves tell.
    page, found = first, set()
    while page.table is not None:
        found.add(scales_of(page.table.schema))
        if page.next is None:
            break
        page = await join(own, replace(query, after=page.next), _CHUNK)
    return found


async def _pieces(
    own: Services,
    query: Rows,
    page: Joined,
    left: int,
    made: Any,  # noqa: ANN401 - an Encoder
) -> AsyncIterator[bytes]:
    try:
        while True:
            if page.table is not None:
                yield await to_thread.run_sync(made.add, page.table)
                left -= page.table.num_rows
            if page.next is None or left <= 0:
                break
            page = await join(own, replace(query, after=page.next), min(_CHUNK, left))
        yield made.end()
    except Exception:
        # The head is out: only a connection that ends too early can tell the client.
        LOG.exception("a download of %s broke off", query.shape.kind)
        raise
