"""What is missing of a symbol, and the certificates of its days."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import anyio
import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from api.data.asked import key_of, span_of
from api.data.proof import Day, Proofs
from api.problems import ProblemError
from api.routes.pages import Symbol
from api.security.guard import Reader
from api.services import With
from client.data import Calendar, DayItem, GapItem, Gaps
from core.ledger.certificate import Missing, plain
from core.market.errors import FileError
from dataflows.certify import remedy

router = APIRouter(tags=["proof"])

_MOST_DAYS = 366
_DEFAULT_DAYS = 31
_AT_ONCE = 2


def _proofs(request: Request) -> Proofs:
    found: Proofs = request.app.state.proofs
    return found


def _limiter(request: Request) -> CapacityLimiter:
    # Reading days takes a while: other work is not to wait for threads meanwhile.
    state = request.app.state
    if not hasattr(state, "proof_limiter"):
        state.proof_limiter = CapacityLimiter(_AT_ONCE)
    found: CapacityLimiter = state.proof_limiter
    return found


WithProofs = Annotated[Proofs, Depends(_proofs)]
Limiter = Annotated[anyio.CapacityLimiter, Depends(_limiter)]
DayText = Annotated[
    str, Query(pattern=r"^\d{4}-\d{2}-\d{2}$", description="A day, UTC.", examples=["2025-01-31"])
]


@router.get("/symbols/{symbol}/gaps", summary="What is missing")
async def gaps(
    symbol: Symbol,
    own: With,
    _caller: Reader,
    proofs: WithProofs,
    limiter: Limiter,
    from_: Annotated[str | None, Query(alias="from", description="First time.")] = None,
    to: Annotated[str | None, Query(description="End of time, not included.")] = None,
) -> Gaps:
    """List every missing range of ids by the lake's files, why, and the command that gets it."""
    key = key_of(own.settings, symbol)
    start, end = span_of(from_, to)

    def found() -> list[Missing]:
        return list(proofs.missing(key, start, end))

    missing = await _held(found, limiter, key)
    items = [_gap(key, one) for one in missing]
    return Gaps(items=items, complete=not any(item.between for item in items))


@router.get(
    "/symbols/{symbol}/certificate",
    summary="Certificate of a day",
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}},
                     "description": "What `cryptotools certify --json` prints, and `open`."}},
    response_class=Response,
)  # fmt: skip
async def certificate(
    symbol: Symbol,
    own: With,
    _caller: Reader,
    proofs: WithProofs,
    limiter: Limiter,
    date: DayText,
) -> Any:  # noqa: ANN401 - the certificate's own form
    """Prove a symbol's day complete from the lake's files, or say why it is not.

    Rows that are in no file yet do not count: a day that lasts is `open`.
    """
    key = key_of(own.settings, symbol)
    day = _day(date, "date").isoformat()

    def found() -> dict[str, Any]:
        days = proofs.days(key)
        if day not in days:
            hint = f"there are {days[0]} to {days[-1]}" if days else ""
            raise ProblemError(404, f"nothing is held of {day}", field="date", hint=hint)
        verdict, lasts = proofs.certificate(key, day)
        return verdict.as_dict() | {"complete": verdict.complete, "open": lasts}

    return await _json(await _held(found, limiter, key))


@router.get("/symbols/{symbol}/certificates", summary="Calendar of certificates")
async def certificates(
    symbol: Symbol,
    own: With,
    _caller: Reader,
    proofs: WithProofs,
    limiter: Limiter,
    from_: Annotated[str | None, Query(alias="from", description="First day.")] = None,
    to: Annotated[str | None, Query(description="Last day, included.")] = None,
) -> Calendar:
    """Say of each day whether its ids are complete; klines are recounted in `certificate` only.

    Days that were not looked at in time are `unchecked`: ask again.
    """
    key = key_of(own.settings, symbol)
    first = None if from_ is None else _day(from_, "from")
    last = None if to is None else _day(to, "to")

    def found() -> list[Day]:
        try:
            return proofs.calendar(key, _chosen(proofs.days(key), first, last))
        except FileError as error:
            if not _is_empty(error):
                raise
            return []  # a symbol that is followed since today has no day yet

    return Calendar(items=[_item(day) for day in await _held(found, limiter, key)])


def _chosen(held: list[str], first: date | None, last: date | None) -> list[str]:
    if first is None and held:
        newest = min(date.fromisoformat(held[-1]), last or date.max)
        first = newest - timedelta(days=_DEFAULT_DAYS - 1)
    low = "" if first is None else first.isoformat()
    high = "9999" if last is None else last.isoformat()
    chosen = [day for day in held if low <= day <= high]
    if len(chosen) > _MOST_DAYS:
        why = f"{len(chosen)} days are more than {_MOST_DAYS}"
        raise ProblemError(422, why, field="from", hint="ask for a year at a time")
    return chosen


async def _held(work: Any, limiter: CapacityLimiter, key: str) -> Any:  # noqa: ANN401 - of any
    try:
        return await to_thread.run_sync(work, limiter=limiter)
    except FileError as error:
        if _is_empty(error):
            why = f"the lake holds nothing of {key}"
            raise ProblemError(404, why, field="symbol", hint="does a flow write it?") from None
        raise


def _is_empty(error: FileError) -> bool:
    return "holds nothing" in error.why or "no such file" in error.why


async def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def _day(text: str, field: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        hint = "such as 2025-01-31"
        raise ProblemError(422, f"`{text}` is no day", field=field, hint=hint) from None


def _gap(key: str, missing: Missing) -> GapItem:
    first, last = missing.first_id, missing.last_id
    count = None if first is None or last is None else last - first + 1
    told = plain(missing)
    return GapItem(key=key, trades=count, between=missing.between, get=remedy(key, missing), **told)


def _item(day: Day) -> DayItem:
    known = day.certificate
    if known is None:
        return DayItem(date=day.date, state="open" if day.open else "unchecked")
    return DayItem(
        date=day.date,
        state="open" if day.open else known.state.value,
        rows=known.rows,
        repaired=known.repaired,
        missing=len(known.missing),
        reasons=tuple(reason.text for reason in known.reasons[:3]),
    )
