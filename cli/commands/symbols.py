"""``cryptotools symbols list|add|remove``: what a running flow follows."""

import uuid
from collections.abc import Callable
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides
from cli.output import OUT, Json, print_json, table
from config.settings import Settings, load
from connectors.redis.control import Sender
from core.control import Outcome, SymbolsCommand
from core.market.errors import ConfigError, ServiceError
from dataflows.addresses import address
from dataflows.status import read_status

_SECONDS = 20.0

Action = Literal["subscribe", "unsubscribe"]

_CHANGES: dict[str, tuple[Action, str]] = {
    "add": ("subscribe", "Follow more symbols, from their newest trades on; kept over restarts."),
    "remove": ("unsubscribe", "Follow symbols no more; what was stored of them stays."),
}

Symbols = Annotated[list[str], typer.Argument(help="Such as BTCUSDT, in any case.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the outcome.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="List or change what a running flow follows.")
    app.add_typer(group, name="symbols")

    @group.command(name="list")
    def list_(config: ConfigFile = None, set_: Set = None, *, json: Json = False) -> None:
        """List the symbols that the flow follows, with their last trades."""
        found = read_status(load(config, overrides=overrides(set_)).state_dir)
        following = {s for row in found.processes.values() for s in row["following"]}
        known = {key.partition(":")[2]: one for key, one in found.symbols.items()}
        if json:
            print_json({symbol: known.get(symbol) for symbol in sorted(following)})
            return
        rows: list[tuple[object, ...]] = []
        for symbol in sorted(following):
            one = known.get(symbol) or {}
            last, at = one.get("last_id"), one.get("known_until")
            rows.append((escape(symbol), "-" if last is None else last, (at or "-")[:23]))
        OUT.print(table("symbol", "last trade", "complete until", rows=rows, right=(1,)))

    for name, (action, about) in _CHANGES.items():
        group.command(name=name, help=about)(_changing(action))


def _changing(action: Action) -> Callable[..., None]:
    def change(
        symbols: Symbols,
        wait: Wait = _SECONDS,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        _command(action, symbols, load(config, overrides=overrides(set_)), wait, json=json)

    return change


def _command(
    action: Action,
    symbols: list[str],
    settings: Settings,
    wait: float,
    *,
    json: bool,
) -> None:
    named = tuple(dict.fromkeys(symbol.upper() for symbol in symbols))
    try:
        command = SymbolsCommand(id=uuid.uuid4().hex, action=action, symbols=named)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError("symbols", f"`{first['input']}`: {first['msg']}") from None
    sender = Sender(address(settings))
    try:
        outcomes = sender.send(command, named, wait)
    finally:
        sender.close()
    _show(outcomes, json=json)
    silent = [s for s in named if s not in {outcome.subject for outcome in outcomes}]
    if silent:
        raise ServiceError(
            "flow",
            f"nobody has answered for {' '.join(silent)} within {wait:g} s",
            hint="is it running (`cryptotools status`)? The command waits for it",
        )
    if any(outcome.state == "refused" for outcome in outcomes):
        raise typer.Exit(2)


def _show(outcomes: list[Outcome], *, json: bool) -> None:
    if json:
        print_json([outcome.model_dump() for outcome in outcomes])
    elif outcomes:
        rows: list[tuple[object, ...]] = [
            (escape(o.subject or "-"), o.state, escape(o.reason)) for o in outcomes
        ]
        OUT.print(table("symbol", "outcome", "", rows=rows))
