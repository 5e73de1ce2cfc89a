"""``cryptotools symbols list|search|add|remove``: what a running flow follows."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides
from cli.output import OUT, Json, print_json, table
from cli.remote import client_of
from client.control import Result, SymbolsAnswer
from core.market.errors import ServiceError
from dataflows.setup import prepare

_SECONDS = 20.0

Symbols = Annotated[list[str], typer.Argument(help="Such as BTCUSDT, in any case.")]
Wait = Annotated[
    float, typer.Option("--wait", min=0, max=60, help="Seconds to wait for the outcome.")
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="List or change what a running flow follows.")
    app.add_typer(group, name="symbols")
    _register_views(group)
    _register_changes(group)


def _register_views(group: typer.Typer) -> None:
    @group.command(name="list")
    def list_(config: ConfigFile = None, set_: Set = None, *, json: Json = False) -> None:
        """List the symbols that flows follow, with their last trades."""
        with client_of(prepare(config, overrides(set_))) as api:
            found = api.symbols()
        if json:
            print_json({one.symbol: one.model_dump(exclude={"symbol"}) for one in found})
            return
        rows: list[tuple[object, ...]] = [
            (escape(one.symbol), "-" if one.last_id is None else one.last_id,
             (one.known_until or "-")[:23], one.gaps_open)
            for one in found
        ]  # fmt: skip
        names = ("symbol", "last trade", "complete until", "gaps open")
        OUT.print(table(*names, rows=rows, right=(1, 3)))

    @group.command()
    def search(
        query: Annotated[str, typer.Argument(help="Part of a symbol.")] = "",
        limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Search the symbols that the exchange lists."""
        with client_of(prepare(config, overrides(set_))) as api:
            found = api.search(query, limit)
        if json:
            print_json([one.model_dump() for one in found])
            return
        rows: list[tuple[object, ...]] = [
            (escape(one.symbol), one.base, one.quote, one.status, "yes" if one.followed else "")
            for one in found
        ]
        OUT.print(table("symbol", "base", "quote", "status", "followed", rows=rows))


def _register_changes(group: typer.Typer) -> None:
    @group.command()
    def add(
        symbols: Symbols,
        wait: Wait = _SECONDS,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Follow more symbols, from their newest trades on; kept over restarts."""
        with client_of(prepare(config, overrides(set_)), wait) as api:
            _show([api.subscribe(*symbols)], wait, json=json)

    @group.command()
    def remove(
        symbols: Symbols,
        wait: Wait = _SECONDS,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Follow symbols no more; what was stored of them stays."""
        with client_of(prepare(config, overrides(set_)), wait) as api:
            _show([api.unsubscribe(symbol) for symbol in symbols], wait, json=json)


def _show(answers: Iterable[SymbolsAnswer], wait: float, *, json: bool) -> None:
    given = list(answers)
    results: list[Result] = [result for answer in given for result in answer.results]
    if json:
        print_json([result.model_dump() for result in results])
    elif results:
        rows: list[tuple[object, ...]] = [
            (escape(r.subject or "-"), r.state, escape(r.reason)) for r in results
        ]
        OUT.print(table("symbol", "outcome", "", rows=rows))
    if any(answer.outcome == "accepted" for answer in given):
        raise ServiceError(
            "flow",
            f"not all have answered within {wait:g} s",
            hint="is it well (`cryptotools status`)? The command waits for it",
        )
    if any(answer.outcome == "partly" for answer in given):
        raise typer.Exit(2)
