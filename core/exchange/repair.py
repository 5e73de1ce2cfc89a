"""The repair of a hole in the trade ids: a conversation of requests and answers.

The generator yields what it wants and is sent what came of it; whoever drives it does the I/O::

    repair(hole) ── Fetch(from_id, limit) ──► REST      page of rows ──► send(rows)
                 ── Wait(seconds)         ──► a timer   later        ──► send(None)
                 ── Deliver(rows)         ──► the tape, in id order, each id once
                 ── Missing(first, last)  ──► a permanent gap, with its evidence

Binance's `historicalTrades` and `aggTrades` are read from a database that may lag the stream
(rest-api.md, "Data Sources"): an empty answer means "not yet" and is asked again. Only rows
*beyond* the wanted id prove that it does not exist, and they must say so twice.

A history that reaches back for a limited time (48 hours of `aggTrades` on USD-M) may have nothing
to say of an id before it, for ever. So after some empty answers its beginning is looked for, by
halves between the wanted id and the end of the hole: what lies before is missing.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from core.exchange.wire import RestRow

Row = TypeVar("Row", bound=RestRow)


@dataclass(slots=True)
class Hole:
    """Ids still missing: ``next_id..last_id`` inclusive. `last_id` may grow meanwhile."""

    next_id: int
    last_id: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask REST for trades from that id on."""

    from_id: int
    limit: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Deliver:
    """Rows that fill the start of the hole, in id order."""

    rows: Sequence[RestRow]


@dataclass(frozen=True, slots=True)
class Missing:
    """The exchange does not have ``first_id..last_id``."""

    first_id: int
    last_id: int
    reason: str


Action: TypeAlias = Fetch | Wait | Deliver | Missing
Page: TypeAlias = Sequence[RestRow] | None
"""Rows of a page, in any order; None when the request failed or a wait is over."""

_WAITS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_EMPTY = 8
"""Empty answers in a row, some 20 seconds of them, after which lag is not the only explanation."""


def repair(hole: Hole, *, limit: int = 1000) -> Generator[Action, Page, None]:
    """Fill the hole; ends when every id was delivered or is proven missing."""
    doubts = 0
    fruitless = empty = 0
    while hole.next_id <= hole.last_id:
        # One row beyond the hole is wanted: it is the evidence if the hole's end is missing.
        wanted = min(limit, hole.last_id - hole.next_id + 2)
        page = yield Fetch(hole.next_id, wanted)
        rows = sorted((r for r in page or () if r.id >= hole.next_id), key=lambda r: r.id)
        if not rows:
            empty = empty + 1 if page is not None else 0
            if empty >= _EMPTY:
                empty = 0
                begins = yield from _beginning(hole)
                if begins is not None:
                    yield _missing(hole, begins - 1, begins)
                    continue
            yield Wait(_WAITS[min(fruitless, len(_WAITS) - 1)])
            fruitless += 1
        elif rows[0].id > hole.next_id:
            doubts += 1
            if doubts < 2:
                yield Wait(_WAITS[doubts])
                continue
            yield _missing(hole, min(rows[0].id - 1, hole.last_id), rows[0].id)
            doubts = 0
        else:
            doubts = fruitless = empty = 0
            yield Deliver(_run(hole, rows))


def _beginning(hole: Hole) -> Generator[Action, Page, int | None]:
    """Return the first id of the hole that the history has; None if it has none, or lags."""
    page = yield Fetch(hole.last_id, 1)
    if not page:
        return None
    without, held = hole.next_id, hole.last_id
    while held - without > 1:
        middle = (without + held) // 2
        page = yield Fetch(middle, 1)
        if page is None:
            return None
        if page:
            held = max(without + 1, min(held, *(row.id for row in page)))
        else:
            without = middle
    page = yield Fetch(hole.next_id, 1)  # it may have lagged, and not now
    return None if page or page is None else held


def _missing(hole: Hole, last_id: int, next_held: int) -> Missing:
    first_id, hole.next_id = hole.next_id, last_id + 1
    return Missing(first_id, last_id, f"the exchange's history goes on at id {next_held}")


def _run(hole: Hole, rows: Sequence[RestRow]) -> list[RestRow]:
    run: list[RestRow] = []
    for row in rows:
        if row.id > hole.last_id or row.id > hole.next_id:
            break
        if row.id == hole.next_id:  # smaller: the same row twice in one page
            run.append(row)
            hole.next_id += 1
    return run
