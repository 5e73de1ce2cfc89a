"""``cryptotools verify``: the lake against the exchange's own klines, or archive files."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides
from cli.output import OUT, Json, print_json, table
from config.settings import Settings
from core.market.errors import ConfigError
from core.market.intervals import interval
from core.market.symbols import Instrument
from dataflows.exchange_klines import ExchangeKlines, against_exchange
from dataflows.replay import look
from dataflows.setup import prepare
from dataflows.verify import Outcome, against_archive

_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def verify(
        files: Annotated[
            list[Path] | None,
            typer.Argument(help="Binance csv or zip files of trades, aggTrades or klines."),
        ] = None,
        against: Annotated[
            Literal["exchange", "archive"], typer.Option(help="Whom to believe.")
        ] = "archive",
        symbol: Annotated[
            list[str] | None, typer.Option("--symbol", "-s", help="Symbols; those set, if none.")
        ] = None,
        day: Annotated[str | None, typer.Option(help="Only this UTC day (exchange).")] = None,
        of: Annotated[str, typer.Option("--interval", "-i", help="Of klines (exchange).")] = "1m",
        market: Annotated[
            Literal["spot", "usdm"] | None, typer.Option(help="Market of files, if not said.")
        ] = None,
        lake: Annotated[
            Path | None, typer.Option("--lake", help="Folder; `lake.path` by default.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Compare the lake, row by row, with the exchange or an archive; exit 1 on differences."""
        settings = prepare(config, overrides(set_))
        root = lake or settings.lake.path
        if against == "exchange":
            found = _exchange(settings, root, symbol, day, of)
        else:
            found = _archive(root, files, symbol, market)
        if json:
            print_json([asdict(outcome) | {"same": outcome.same} for outcome in found])
        else:
            _show(found)
        if not all(outcome.same for outcome in found):
            raise typer.Exit(1)


def _exchange(
    settings: Settings, lake: Path, symbols: list[str] | None, day: str | None, of: str
) -> list[Outcome]:
    exchange = settings.binance.place.exchange
    keys = [Instrument.of(symbol, exchange).key for symbol in symbols or settings.symbols]
    with ExchangeKlines(settings.binance) as klines:
        return [against_exchange(lake, klines, key, interval(of), day) for key in keys]


def _archive(
    lake: Path, files: list[Path] | None, symbols: list[str] | None, market: str | None
) -> list[Outcome]:
    symbol = symbols[0] if symbols else None
    found = look(files or [], symbol=symbol, market=market)
    if not found.archives:
        hint = "such as BTCUSDT-trades-2025-01-31.zip, or use --against exchange"
        raise ConfigError("FILE", "there is no archive file to compare with", hint=hint)
    return [against_archive(lake, file) for file in found.archives]


def _show(found: list[Outcome]) -> None:
    rows: list[tuple[object, ...]] = [
        (
            escape(o.what), o.key, o.rows, o.equal, o.different, o.only_here, o.only_there,
            "[green]same[/]" if o.same else "[bold red]not the same[/]",
        )
        for o in found
    ]  # fmt: skip
    columns = ("against", "symbol", "rows", "equal", "different", "only here", "only there", "")
    OUT.print(table(*columns, rows=rows, right=(3, 4, 5, 6)))
    for outcome in found:
        for text in outcome.examples[:_SHOWN]:
            OUT.print(f"[red]{outcome.key}[/] {escape(text)}")
        if len(outcome.examples) > _SHOWN:
            OUT.print(f"[red]{outcome.key}[/] and more (see --json)")
