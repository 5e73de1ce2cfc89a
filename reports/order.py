"""What a back-test was asked for → a run and its results: the same for the command and for jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from config.settings import Settings
from core.market.errors import ConfigError
from core.paper.config import PaperConfig
from dataflows.backtest import Job, Warmup, find_data, plan_for, window_for
from dataflows.backtest_grid import Grid, grid_of
from dataflows.backtest_hash import code_of, files_of, run_hash, versions
from dataflows.backtest_sweep import Told, cut, processes_for, sweep
from dataflows.backtest_window import FOREVER_US
from dataflows.setup import kline_plan
from reports.page import clock
from reports.results import Evaluated, Task, evaluate, merged
from reports.run import Run
from strategies.registry import REGISTRY
from strategies.spec import InstanceSpec


@dataclass(frozen=True, slots=True)
class Data:
    """What a back-test is run on: files or folders, of some symbols, of a market."""

    paths: tuple[Path, ...]
    symbols: tuple[str, ...] = ()
    market: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, understood."""

    grid: Grid
    paper: PaperConfig
    job: Job
    warmup: str


def understand(
    settings: Settings,
    specs: tuple[InstanceSpec, ...],
    params: Sequence[str],
    data: Data,
    window: tuple[datetime | None, datetime | None, Warmup],
    *,
    most: int,
) -> Order:
    """Return what is to be run.

    Args:
        settings: In force.
        specs: The strategies.
        params: Their values, as `grid_of` takes them.
        data: What they are run on.
        window: From when, until when, and when signals begin to count (`window_for`).
        most: More combinations are refused.

    Raises:
        CryptoToolsError: What cannot be, with the way out.

    """
    grid = grid_of(specs, params, most=most)
    found = find_data(data.paths, data.symbols, data.market)
    own = tuple(combination.spec for combination in grid.combinations)
    start, end, warmup = window
    job = Job(
        found=found,
        symbols=frozenset(symbol.strip().upper() for symbol in data.symbols) or None,
        plan=plan_for(found, kline_plan(settings, live=False), own),
        specs=own,
        paper=settings.paper,
        window=window_for(own, start=start, end=end, warmup=warmup),
        strategies_dir=settings.strategies_dir,
    )
    return Order(grid, settings.paper, job, warmup)


def identified(asked: Order, sort: str, top: int) -> Run:
    """Return all that a run is told by, its hash among it; reads every file once."""
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


def swept(asked: Order, jobs: int | None, run: Run, told: Told) -> Evaluated:
    """Run it.

    Args:
        asked: What.
        jobs: In how many processes; None: as many as shorten the wait.
        run: What is known of it.
        told: Hears how much is done.

    Raises:
        CryptoToolsError: What a flow could not do.
        KeyboardInterrupt: The stop flag was set.

    """
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
    parts = sweep(evaluate, tasks, processes, strategies_dir=asked.job.strategies_dir, told=told)
    return merged(parts, run.sort)


def check(found: Evaluated, asked: Order) -> None:
    """Raise `ConfigError` where nothing was traded, and say why."""
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
