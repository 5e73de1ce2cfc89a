"""``cryptotools backtest``: what strategies would have earned on recorded data, as a report."""

import time
from collections.abc import Callable
from dataclasses import dataclass
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
from core.market.errors import ConfigError, ServiceError
from core.market.intervals import interval as interval_of
from core.paper.config import PaperConfig
from dataflows.addresses import NO_REDIS
from dataflows.backtest import Job, find_data, plan_for, window_for
from dataflows.backtest_grid import MOST_COMBINATIONS, Grid, grid_of
from dataflows.backtest_hash import code_of, files_of, run_hash, short, versions
from dataflows.backtest_sweep import cut, processes_for, sweep
from dataflows.backtest_window import FOREVER_US
from dataflows.setup import kline_plan, prepare
from reports.backtest import html
from reports.page import clock
from reports.plain import as_dict
from reports.results import Evaluated, Sort, Task, evaluate, merged
from reports.run import MOST_ROWS, Run
from strategies.registry import REGISTRY
from strategies.spec import InstanceSpec

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line asked for, understood."""

    settings: Settings
    grid: Grid
    paper: PaperConfig
    job: Job
    warmup: str


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
        asked = _understand(
            settings, _specs(strategy, settings, interval, symbol), param or [],
            find=lambda: (data, symbol or [], market), window=(start, end, warmup), most=most,
        )  # fmt: skip
        run = _identified(asked, sort, top)
        stop_on_signals()
        began = time.monotonic()
        found = _swept(asked, jobs, run, quiet=json)
        seconds = time.monotonic() - began
        _check(found, asked)
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


def _understand(
    settings: Settings,
    specs: tuple[InstanceSpec, ...],
    params: list[str],
    *,
    find: Callable[[], tuple[list[Path], list[str], str | None]],
    window: tuple[datetime | None, datetime | None, Literal["converged", "lookback"]],
    most: int,
) -> _Asked:
    grid = grid_of(specs, params, most=most)
    paths, symbols, market = find()
    found = find_data(paths, symbols, market)
    own = tuple(combination.spec for combination in grid.combinations)
    start, end, warmup = window
    job = Job(
        found=found,
        symbols=frozenset(symbol.strip().upper() for symbol in symbols) or None,
        plan=plan_for(found, kline_plan(settings, live=False), own),
        specs=own,
        paper=settings.paper,
        window=window_for(own, start=start, end=end, warmup=warmup),
        strategies_dir=settings.strategies_dir,
    )
    return _Asked(settings, grid, settings.paper, job, warmup)


def _identified(asked: _Asked, sort: str, top: int) -> Run:
    job = asked.job
    names = [spec.name for spec in job.specs]
    files = files_of(job.found, set(job.symbols) if job.symbols else None)
    window = job.window
    settings = {
        "strategies": sorted(set(names)),
        "combinations": len(job.specs),
        "symbols": sorted(job.symbols) if job.symbols else "all there are",
        "intervals": [str(one) for one in job.plan.intervals],
        "empty klines": job.plan.empty,
        "from": clock(window.start_us) if window.start_us else None,
        "to": clock(window.end_us) if window.end_us != FOREVER_US else None,
        "warm-up": {"until": asked.warmup, **dict(window.warmup)},
        "paper": asked.paper.model_dump(mode="json"),
    }
    code, found = code_of(names, REGISTRY), versions()
    told = {
        "data": [(file.name, file.sha256) for file in files],
        "code": code,
        "versions": found,
        "settings": settings,
        "plan": (job.plan.base.name, job.plan.grace_us, sorted(job.plan.passes)),
        "instances": [spec.model_dump(mode="json") for spec in job.specs],
    }
    digest = run_hash(told)
    return Run(digest, tuple(files), settings, code, found, asked.grid.refused, sort, top)


def _swept(asked: _Asked, jobs: int | None, run: Run, *, quiet: bool) -> Evaluated:
    combinations = list(enumerate(asked.grid.combinations))
    processes = processes_for(len(combinations), jobs, sum(file.size for file in run.files))
    tasks = []
    for part in cut(len(combinations), processes):
        own = tuple(combinations[part.start : part.stop])
        job = asked.job
        specs = tuple(combination.spec for _, combination in own)
        tasks.append(
            Task(
                Job(job.found, job.symbols, job.plan, specs, job.paper, job.window,
                    job.strategies_dir),
                own,
                run.sort,
            )
        )  # fmt: skip
    with sweep_bar(len(combinations), show=not quiet) as told:
        parts = sweep(
            evaluate, tasks, processes, strategies_dir=asked.job.strategies_dir, told=told
        )
    return merged(parts, run.sort)


def _check(found: Evaluated, asked: _Asked) -> None:
    if found.results:
        return
    window = asked.job.window
    for key, market in found.markets.items():
        for name, needed in window.warmup:
            seen = market.seen.get(name, 0)
            if seen < needed:
                why = f"{seen} klines of {name} of {key}, the warm-up alone takes {needed}"
                hint = (
                    "give more data, or --warmup lookback: count signals as soon as they are given"
                )
                raise ConfigError("data", why, hint=hint)
    raise ConfigError("from", "there are no klines in that time", hint=_held(found))


def _held(found: Evaluated) -> str:
    times = [k.close_us for m in found.markets.values() for k in m.klines.values() if len(k)]
    if not times:
        return "the data hold no klines before --to"
    return f"the data hold {clock(min(t[0] for t in times))} to {clock(max(t[-1] for t in times))}"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ServiceError(f"report {path}", str(error.strerror)) from None
