"""``cryptotools backfill``: ask again for trades that were missed for good."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import Progress

from cli.options import ConfigFile, Set, overrides
from cli.output import ERR, OUT, Json, print_json, table
from dataflows.backfill import Outcome, backfill
from dataflows.setup import prepare


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(name="backfill")
    def command(
        symbol: Annotated[str, typer.Argument(help="Such as BTCUSDT.")],
        wanted: Annotated[
            str,
            typer.Argument(metavar="FROM..TO", help="Ids (100..200) or UTC times, inclusive."),
        ],
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Fetch a range of trades into the lake, and issue its klines again.

        Exit 1 if the exchange does not have all of it. Streams in Redis are not rewritten.
        """
        settings = prepare(config, overrides(set_))
        with Progress(console=ERR, transient=True, disable=json) as progress:
            task = progress.add_task(symbol, total=None)
            outcome = backfill(
                settings,
                symbol,
                wanted,
                told=lambda done, of: progress.update(task, completed=done, total=of),
            )
        if json:
            print_json(asdict(outcome))
        else:
            _show(outcome)
        if outcome.missing:
            raise typer.Exit(1)


def _show(outcome: Outcome) -> None:
    klines = ", ".join(f"{count} of {name}" for name, count in outcome.reissued.items()) or "none"
    rows: list[tuple[object, ...]] = [
        ("asked for", f"{outcome.symbol} {outcome.first_id}..{outcome.last_id}"),
        ("fetched", f"{outcome.fetched} trades"),
        ("klines issued again", klines),
        ("REST weight used", outcome.weight),
    ]
    for first, last, reason in outcome.missing:
        rows.append(("[yellow]not to be had[/]", f"{first}..{last}: {reason}"))
    OUT.print(table("", "", rows=rows))
