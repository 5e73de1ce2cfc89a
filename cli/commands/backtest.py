"""``cryptotools backtest``: what strategies would have earned on recorded data, as a report."""

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.backtest import print_best, sweep_bar, tell
from cli.commands.replay import specs_of
from cli.options import ConfigFile, Set, overrides
from cli.output import ERR, Json, print_json
from config.settings import Settings
from connectors.shutdown import stop_on_signals
from core.market.errors import ServiceError
from core.market.intervals import interval as interval_of
from dataflows.addresses import NO_REDIS
from dataflows.backtest_grid import MOST_COMBINATIONS
from dataflows.backtest_hash import short
from dataflows.setup import prepare
from reports.backtest import html
from reports.order import Data, check, identified, swept, understand
from reports.plain import as_dict
from reports.results import Sort
from reports.run import MOST_ROWS
from strategies.spec import InstanceSpec

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def backtest(
        data: Annotated[
            list[Path],
            typer.Option("--data", "-d", help="Lake, files or folders of klines or trades."),
        ],
        strategy: Annotated[
            list[str] | None,
            typer.Option("--strategy", "-S", help="Strategies; by default all that are set."),
        ] = None,
        param: Annotated[
            list[str] | None,
            typer.Option(
                "--param",
                "-p",
                metavar="NAME=VALUES",
                help="period=7,14 or period=5:30:5; STRATEGY.NAME=… of one of several.",
            ),
        ] = None,
        symbol: Annotated[
            list[str] | None, typer.Option("--symbol", "-s", help="Only these symbols.")
        ] = None,
        market: Annotated[
            Literal["spot", "usdm"] | None, typer.Option(help="Market, if no name of a file says.")
        ] = None,
        interval: Annotated[
            str | None, typer.Option("--interval", "-i", help="Klines that strategies see.")
        ] = None,
        start: Annotated[
            datetime | None,
            typer.Option("--from", formats=_FORMATS, help="UTC; earlier data only warm up."),
        ] = None,
        end: Annotated[
            datetime | None, typer.Option("--to", formats=_FORMATS, help="UTC; not included.")
        ] = None,
        warmup: Annotated[
            Literal["converged", "lookback"],
            typer.Option(help="When signals begin to count: once exact, or as soon as given."),
        ] = "converged",
        cash: Annotated[str | None, typer.Option(help="What each account begins with.")] = None,
        fee: Annotated[str | None, typer.Option(help="Per fill, in basis points.")] = None,
        slippage: Annotated[str | None, typer.Option(help="Likewise.")] = None,
        size: Annotated[
            str | None, typer.Option(help="0.5 of the equity; 500quote or 0.1base an amount.")
        ] = None,
        fill: Annotated[
            Literal["next", "open"] | None, typer.Option(help="At the next trade, or kline's open.")
        ] = None,
        short_: Annotated[
            bool | None, typer.Option("--short/--no-short", help="Whether short signals sell.")
        ] = None,
        jobs: Annotated[
            int | None, typer.Option("--jobs", "-j", min=1, help="Processes; by default the cores.")
        ] = None,
        sort: Annotated[Sort, typer.Option(help="What is best.")] = "sharpe",
        top: Annotated[int, typer.Option(min=1, help="Combinations to show.")] = MOST_ROWS,
        most: Annotated[
            int, typer.Option("--max-combinations", min=1, help="Refuse to run more.")
        ] = MOST_COMBINATIONS,
        out: Annotated[
            Path | None, typer.Option("--out", "-o", help="Report; backtest-<hash>.html else.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Replay recorded data and report what the signals of strategies would have earned."""
        tree = _overrides(set_, cash, fee, slippage, size, fill, short=short_)
        settings = prepare(config, tree)
        data_ = Data(tuple(data), tuple(symbol or ()), market)
        specs = _specs(strategy, settings, interval, symbol)
        asked = understand(settings, specs, param or [], data_, (start, end, warmup), most=most)
        run = identified(asked, sort, top)
        stop_on_signals()
        began = time.monotonic()
        with sweep_bar(len(asked.grid.combinations), show=not json) as told:
            found = swept(asked, jobs, run, told)
        seconds = time.monotonic() - began
        check(found, asked)
        path = out or Path(f"backtest-{short(run.digest)}.html")
        _write(path, html(run, found))
        if json:
            print_json(as_dict(run, found))
        else:
            print_best(run, found)
        tell(asked.grid, asked.job.window, found)
        klines = sum(sum(market.seen.values()) for market in found.markets.values())
        ERR.print(f"{klines} klines, {len(found.results)} accounts in {seconds:.1f} s")
        ERR.print(f"report: {path}", markup=False)


def _overrides(
    set_: list[str] | None,
    cash: str | None,
    fee: str | None,
    slippage: str | None,
    size: str | None,
    fill: str | None,
    *,
    short: bool | None,
) -> dict[str, Any]:
    told: dict[str, Any] = {"cash": cash, "fee_bps": fee, "slippage_bps": slippage, "fill": fill}
    told["short"] = short
    if size is not None:
        for mode in ("quote", "base", "equity"):
            if size.endswith(mode):
                told["size_mode"] = mode
        told["size"] = size.removesuffix(told.get("size_mode", ""))
    tree = overrides(set_)
    paper = tree.get("paper", {})
    given = {name: value for name, value in told.items() if value is not None}
    return {"redis": {"url": NO_REDIS}, **tree, "paper": {**paper, "enabled": True, **given}}


def _specs(
    names: list[str] | None, settings: Settings, interval: str | None, symbols: list[str] | None
) -> tuple[InstanceSpec, ...]:
    specs = specs_of(names, settings)
    change: dict[str, Any] = {}
    if interval is not None:
        change["interval"] = interval_of(interval).name
    if symbols:
        change["symbols"] = tuple(symbol.strip().upper() for symbol in symbols)
    return tuple(spec.model_copy(update=change) for spec in specs)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ServiceError(f"report {path}", str(error.strerror)) from None
