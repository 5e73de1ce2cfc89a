"""``cryptotools paper``: what the signals would have earned."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides
from cli.output import ERR, OUT, Json, print_json, table
from config.settings import Settings
from connectors.parquet.paper import newest_equity, read_equity
from connectors.redis.keys import parse_key, stream_key
from connectors.redis.reader import Reader
from core.ledger.certificate import time_text
from core.market.decimals import plain
from core.market.paper import TOTAL, Equity
from core.market.records import Fields, equity_fields, equity_of
from core.paper.total import Standing, entry_of, join, quote_of
from dataflows.addresses import NO_REDIS, address
from dataflows.setup import prepare

_COARSE = {"BTC", "ETH", "BNB"}
_COLUMNS = (
    "symbol", "instance", "position", "entry", "price", "realised", "unrealised", "fees", "equity",
    "earned", "drawdown", "fills", "at", "",
)  # fmt: skip


@dataclass(slots=True)
class _Wanted:
    symbols: set[str]
    instances: set[str]

    @property
    def summed(self) -> set[str]:
        return self.instances or {TOTAL}


@dataclass(slots=True)
class _Found:
    """The newest row of each account by (key, instance), and what all are worth by quote asset."""

    newest: dict[tuple[str, str], Equity] = field(default_factory=dict)
    totals: dict[str, Standing] = field(default_factory=dict)

    def add_up(self, series: dict[str, Iterable[Equity]]) -> None:
        quotes: dict[str, list[Iterable[Equity]]] = {}
        for key, rows in series.items():
            quotes.setdefault(quote_of(key), []).append(rows)
        for quote, own in sorted(quotes.items()):
            for standing in join(*own):
                self.totals[quote] = standing


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def paper(
        symbol: Annotated[
            list[str] | None, typer.Option("--symbol", "-s", help="Only these symbols.")
        ] = None,
        instance: Annotated[
            list[str] | None, typer.Option("--instance", "-i", help="Only these instances.")
        ] = None,
        lake: Annotated[
            Path | None, typer.Option("--lake", help="Read this lake; Redis by default.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Show what the signals would have earned: positions, profit, equity, drawdown."""
        settings = prepare(config, overrides(set_))
        wanted = _Wanted({name.upper() for name in symbol or []}, set(instance or []))
        if lake is None and settings.redis.url == NO_REDIS:
            lake = settings.lake.path
        found = _of_redis(settings, wanted) if lake is None else _of_lake(lake, wanted)
        if wanted.instances:
            found.newest = {
                name: row for name, row in found.newest.items() if name[1] in wanted.instances
            }
        if json:
            print_json(_as_dict(found))
        elif found.newest:
            OUT.print(table(*_COLUMNS, rows=_rows(found), right=tuple(range(2, 12))))
        else:
            _explain(settings)


def _of_redis(settings: Settings, wanted: _Wanted) -> _Found:
    reader, found = Reader(address(settings)), _Found()
    last: dict[tuple[str, str], Fields] = {}

    def summed(name: str, key: str) -> Iterator[Equity]:
        # Most rows only push an older one out; those never become objects.
        for entry in reader.entries(name):
            last[key, entry.fields["instance"]] = entry.fields
            if entry.fields["instance"] in wanted.summed:
                yield equity_of(key, entry.fields)

    try:
        streams = map(parse_key, reader.discover({"equity"}, symbols=wanted.symbols))
        keys = [stream.key for stream in streams if stream is not None]
        found.add_up({key: summed(stream_key(key, "equity"), key) for key in keys})
    finally:
        reader.close()
    found.newest = {(key, name): equity_of(key, fields) for (key, name), fields in last.items()}
    return found


def _of_lake(lake: Path, wanted: _Wanted) -> _Found:
    found = _Found(newest_equity(lake, wanted.symbols or None, pending=True))
    keys = sorted({key for key, _ in found.newest})
    found.add_up({key: read_equity(lake, {key}, wanted.summed, pending=True) for key in keys})
    return found


def _explain(settings: Settings) -> None:
    if not settings.paper.enabled:
        ERR.print("the paper portfolio is switched off: paper.enabled is false")
        return
    ERR.print(
        "no paper account has traded yet: each begins with the first signal of its instance "
        "(`cryptotools tail signal` shows them) and trades at the next price"
    )


def _as_dict(found: _Found) -> dict[str, object]:
    accounts = [
        {
            "key": key,
            **equity_fields(row),
            "entry": "" if name == TOTAL else plain(entry_of(row)),
            "bankrupt": _bankrupt(row),
        }
        for (key, name), row in sorted(found.newest.items())
    ]
    names = ("capital", "equity", "realised", "unrealised", "fees", "peak", "drawdown")
    totals = [
        {
            "quote": quote,
            "time_us": str(standing.time_us),
            **{name: plain(getattr(standing, name)) for name in names},
            "fills": str(standing.fills),
        }
        for quote, standing in found.totals.items()
    ]
    return {"accounts": accounts, "totals": totals}


def _rows(found: _Found) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    keys = {key for key, _ in found.newest}
    exchanges = len({key.partition(":")[0] for key in keys})
    # The total of an instrument stands behind its accounts.
    for (key, name), row in sorted(
        found.newest.items(), key=lambda item: (item[0][0], item[0][1] == TOTAL, item[0][1])
    ):
        quote = quote_of(key)
        entry = "" if name == TOTAL or not row.position else plain(entry_of(row))
        position = plain(row.position)
        start = row.equity - row.realised - row.unrealised + row.fees
        note = "[bold red]bankrupt[/]" if _bankrupt(row) else ""
        symbol = key if exchanges > 1 else key.partition(":")[2]
        own = (escape(symbol), escape(name), position, entry, plain(row.price))
        rows.append((*own, *_amounts(row, start, quote), note))
    for quote, total in found.totals.items():
        if sum(quote_of(key) == quote for key in keys) > 1:
            own = ("[bold]all[/]", f"in {escape(quote)}", "", "", "")
            rows.append((*own, *_amounts(total, total.capital, quote), ""))
    return rows


def _amounts(row: Equity | Standing, start: Decimal, quote: str) -> tuple[object, ...]:
    earned = f"{(row.equity / start - 1) * 100:+.2f} %" if start else ""
    fallen = f"{row.drawdown / row.peak * 100:.2f} %" if row.peak > 0 else ""
    return (
        _money(row.realised, quote),
        _money(row.unrealised, quote),
        _money(row.fees, quote),
        _money(row.equity, quote),
        earned,
        fallen,
        row.fills,
        time_text(row.time_us)[5:16].replace("T", " "),
    )


def _money(value: Decimal, quote: str) -> str:
    return f"{value:.{8 if quote in _COARSE else 2}f}"


def _bankrupt(row: Equity) -> bool:
    return row.instance != TOTAL and row.equity <= 0 and not row.position
