"""What an instance of a strategy said, and what it would have earned."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path
from fastapi.responses import Response

from api.data.asked import key_of
from api.data.join import Joined, join
from api.data.performance import Account, equities_of, fills_of, performance_of
from api.data.query import Query as Rows
from api.data.shapes import EQUITY, FILLS, SIGNALS, Shape
from api.data.tail import explained
from api.flows import read_flows
from api.problems import ProblemError
from api.routes.data import SymbolFilter
from api.routes.pages import Paging, answer, described
from api.security.guard import Reader
from api.services import Services, With
from client.data import Page, Performance, SignalItem

router = APIRouter(tags=["instances"])

_CHUNK = 20_000

Instance = Annotated[str, Path(max_length=80, description="Its name.", examples=["rsi_reversal"])]


@router.get(
    "/instances/{instance}/signals",
    summary="Signals of an instance",
    responses=described(Page[SignalItem]),
    response_class=Response,
)
async def signals(
    instance: Instance, own: With, _caller: Reader, asked: Paging, symbol: SymbolFilter = None
) -> Response:
    """Give what an instance advised, from lake and Redis."""
    query = _query(own, SIGNALS, instance, symbol)
    query = replace(query, start_us=asked.start_us, end_us=asked.end_us)
    return await answer(own, query, asked, f"signals-{instance}")


@router.get("/instances/{instance}/performance", summary="What an instance would have earned")
async def performance(
    instance: Instance, own: With, _caller: Reader, symbol: SymbolFilter = None
) -> Performance:
    """Sum up the paper accounts of an instance: return, drawdown, win rate, position, trips.

    An account appears with its first fill. Its cash, fees and slippage are those of the settings.
    """
    accounts: dict[str, Account] = {}

    def fills(page: Joined) -> None:
        for fill in fills_of(page.table):
            accounts.setdefault(fill.key, Account()).fills.append(fill)

    def equity(page: Joined) -> None:
        for row in equities_of(page.table):
            accounts.setdefault(row.key, Account()).equity(row)

    await _through(own, _query(own, FILLS, instance, symbol), fills)
    await _through(own, _query(own, EQUITY, instance, symbol), equity)
    if not accounts:
        await _must_be(own, instance)
    found = [performance_of(key, accounts[key]) for key in sorted(accounts)]
    return Performance(instance=instance, items=[one for one in found if one is not None])


async def _through(own: Services, query: Rows, take: Callable[[Joined], None]) -> None:
    while True:
        page = await join(own, query, _CHUNK)
        await to_thread.run_sync(take, page)
        if page.next is None:
            return
        query = replace(query, after=page.next)


def _query(own: Services, shape: Shape, instance: str, symbol: str | None) -> Rows:
    keys = None if symbol is None else (key_of(own.settings, symbol),)
    return Rows(shape, keys, filters=(("instance", instance),))


async def _must_be(own: Services, instance: str) -> None:
    async with explained():
        flows = await read_flows(own.bus)
    names = sorted({row["instance"] for flow in flows.values() for row in flow.wanted})
    names += [spec.instance for spec in own.settings.strategies if not flows]
    if instance not in names:
        hint = f"there are {' '.join(names)}" if names else "no flow runs"
        why = f"nothing is known of instance `{instance}`"
        raise ProblemError(404, why, field="instance", hint=hint)
