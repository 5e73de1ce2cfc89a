"""Symbols: which are followed, which there are; follow more or fewer."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.audit import note
from api.control import Aim, To, flow_to_command, send
from api.flows import read_flows
from api.idempotency import Answer, OnceOnly
from api.problems import ProblemError
from api.security.guard import Controller, Reader
from api.services import Services, With
from api.symbols import followed, search
from client.control import Listing, Outcome, Result, Symbol, SymbolsAnswer, SymbolsChange
from core.control import Outcome as OutcomeTold
from core.control import SymbolsCommand
from core.market.errors import SymbolError
from core.market.symbols import Instrument

_LOOK_AGAIN_S = 0.03
_TOLD_S = 2.0
_SEARCH = "/api/v1/symbols/search"

router = APIRouter(prefix="/symbols", tags=["symbols"])

Name = Annotated[
    str, Path(min_length=2, max_length=60, examples=["BTCUSDT"], description="A symbol, or a key.")
]


@router.get("")
async def list_symbols(own: With, _caller: Reader) -> list[Symbol]:
    """List the symbols that flows follow, with how complete each is."""
    return await _all(own)


@router.get("/search")
async def search_symbols(
    own: With,
    _caller: Reader,
    q: Annotated[str, Query(max_length=40, description="Part of a symbol.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> list[Listing]:
    """Search what the exchange lists; best matches first."""
    listed = await own.listings.all()
    return search(listed, q, {one.symbol for one in await _all(own)}, limit)


@router.get("/{symbol}")
async def get_symbol(own: With, _caller: Reader, symbol: Name) -> Symbol:
    """Say how a symbol is."""
    wanted = symbol.upper()
    known = await _all(own)
    found = next((one for one in known if wanted in (one.symbol, one.key.upper())), None)
    if found is None:
        hint = f"followed are: {' '.join(one.symbol for one in known[:20])}"
        raise ProblemError(404, f"`{symbol}` is not followed", field="symbol", hint=hint)
    return found


@router.post("", response_model=SymbolsAnswer)
async def subscribe(
    own: With,
    caller: Controller,
    once: OnceOnly,
    to: To,
    body: SymbolsChange,
) -> Response:
    """Follow more symbols, from their newest trades on; kept over restarts."""

    async def act(command: str) -> Answer:
        named = _named(body.symbols)
        told = SymbolsCommand(id=command, action="subscribe", symbols=named)
        return await _commanded(own, caller.name, told, to)

    return await once(caller.name, act)


@router.delete("/{symbol}", response_model=SymbolsAnswer)
async def unsubscribe(
    own: With,
    caller: Controller,
    once: OnceOnly,
    to: To,
    symbol: Name,
) -> Response:
    """Follow a symbol no more; what was stored of it stays."""

    async def act(command: str) -> Answer:
        named = _named((symbol.rpartition(":")[2],))
        told = SymbolsCommand(id=command, action="unsubscribe", symbols=named)
        return await _commanded(own, caller.name, told, to)

    return await once(caller.name, act)


async def _all(own: Services) -> list[Symbol]:
    flows = await read_flows(own.bus)
    return [one for flow in flows.values() for one in followed(flow)]


async def _commanded(own: Services, caller: str, told: SymbolsCommand, to: Aim) -> Answer:
    await flow_to_command(own, to.flow)
    outcomes = await send(own, told, told.symbols, own.patience(to.wait))
    refused = [o for o in outcomes if o.state == "refused"]
    detail = "; ".join(f"{o.subject}: {o.reason}" for o in refused)
    outcome = _outcome(told, outcomes, len(refused))
    subject = " ".join(told.symbols)
    await note(own, caller, told.action, subject, command=told.id, outcome=outcome or "refused",
               detail=detail)  # fmt: skip
    if outcome is None:
        raise ProblemError(422, detail, field="symbols", hint=f"see {_SEARCH}")
    if outcome != "accepted":
        await _until_told(own, told, {o.subject for o in outcomes if o.state == "applied"})
    results = [Result(subject=o.subject, state=o.state, reason=o.reason) for o in outcomes]
    answer = SymbolsAnswer(command=told.id, outcome=outcome, results=results)
    return Answer(answer, 202 if outcome == "accepted" else 200)


async def _until_told(own: Services, told: SymbolsCommand, changed: set[str]) -> None:
    # Who has an answer and asks again must see what was done.
    until = time.monotonic() + _TOLD_S
    while time.monotonic() < until:
        now = {one.symbol for one in await _all(own)}
        if changed <= now if told.action == "subscribe" else not changed & now:
            return
        await asyncio.sleep(_LOOK_AGAIN_S)


def _outcome(
    told: SymbolsCommand, outcomes: list[OutcomeTold], refused: int
) -> Outcome | None:  # None: all refused it
    if refused == len(told.symbols):
        return None
    if {o.subject for o in outcomes} < set(told.symbols):
        return "accepted"
    return "partly" if refused else "applied"


def _named(symbols: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(Instrument.of(symbol).symbol for symbol in symbols))
    except SymbolError as error:
        raise ProblemError(422, str(error), field="symbols") from None
