"""``cryptotools gaps``: what is missing, why, and how to get it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides
from cli.output import OUT, Json, print_json, table
from core.ledger.certificate import Missing, plain, time_text
from dataflows.certify import missing_ranges, remedy
from dataflows.setup import prepare


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def gaps(
        symbol: Annotated[str | None, typer.Argument(help="Such as BTCUSDT; all if none.")] = None,
        lake: Annotated[
            Path | None, typer.Option("--lake", help="Folder; `lake.path` by default.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """List every missing range of ids; exit 1 if one lies between trades that are held."""
        root = lake or prepare(config, overrides(set_)).lake.path
        found = list(missing_ranges(root, symbol))
        if json:
            print_json([_facts(key, missing) for key, missing in found])
        elif found:
            OUT.print(_table(found))
        else:
            OUT.print("nothing is missing")
        if any(missing.between for _, missing in found):
            raise typer.Exit(1)


def _facts(key: str, missing: Missing) -> dict[str, object]:
    return {"key": key, **plain(missing), "between": missing.between, "get": remedy(key, missing)}


def _table(found: list[tuple[str, Missing]]) -> object:
    rows: list[tuple[object, ...]] = [
        (
            key,
            f"{_id(m.first_id)}..{_id(m.last_id)}",
            "?" if m.first_id is None or m.last_id is None else m.last_id - m.first_id + 1,
            time_text(m.start_us),
            time_text(m.end_us),
            escape(m.evidence),
            escape(remedy(key, m)),
        )
        for key, m in found
    ]
    columns = ("symbol", "ids", "trades", "after", "before", "evidence", "to get them")
    return table(*columns, rows=rows, right=(2,))


def _id(number: int | None) -> str:
    return "?" if number is None else str(number)
