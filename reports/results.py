"""What a back-test's flow collected → figures of each account, and all there is to see of the best.

Runs in the process of the flow: only what is shown travels to the one that writes the report.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import numpy as np

from core.market.paper import Fill
from core.market.signal import Signal
from core.paper.trips import Trip, trips_of
from dataflows import backtest
from dataflows.backtest import Job
from dataflows.backtest_collect import Account, Collected, Klines, Quality, Worth
from dataflows.backtest_grid import Combination
from reports.statistics import Floats, Series, Statistics, statistics
from strategies.registry import REGISTRY

Sort = Literal[
    "sharpe", "return", "sortino", "calmar", "drawdown", "trades", "win-rate", "profit-factor",
    "volatility", "fees",
]  # fmt: skip

SORTS: dict[str, tuple[str, bool]] = {
    "sharpe": ("sharpe", True), "return": ("total_return", True), "sortino": ("sortino", True),
    "calmar": ("calmar", True), "drawdown": ("max_drawdown", True), "trades": ("trades", True),
    "win-rate": ("win_rate", True), "profit-factor": ("profit_factor", True),
    "volatility": ("volatility", False), "fees": ("fees", False),
}  # fmt: skip
"""What combinations can be ordered by: the figure, and whether more of it is better."""


@dataclass(frozen=True, slots=True)
class Details:
    """All that one account did."""

    series: Series
    trips: tuple[Trip, ...]
    fills: tuple[Fill, ...]
    signals: tuple[Signal, ...]


@dataclass(slots=True)
class Result:
    """One instance on one instrument.

    Attributes:
        place: Where it stands in the grid.
        params: All parameters, those not given included.
        varied: Those in which it differs from the others of its strategy.
        said: Signals that counted.
        early: Signals of the warm-up, which did not.
        error: Traceback, where it raised and was stopped.
        details: Of the best ones only.

    """

    place: int
    key: str
    strategy: str
    instance: str
    interval: str
    params: dict[str, object]
    varied: dict[str, object]
    statistics: Statistics
    said: int
    early: int
    error: str = ""
    details: Details | None = None


@dataclass(slots=True)
class Market:
    """One instrument: what it did, and what was wrong with the data.

    Attributes:
        klines: By interval, from the first one on.
        begin_us: From when on signals counted; 0: never.
        seen: Klines in all, by interval.

    """

    klines: dict[str, Klines] = field(default_factory=dict)
    begin_us: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)


@dataclass(slots=True)
class Evaluated:
    """What came of one job: results in the order of the grid, instruments by key."""

    results: list[Result]
    markets: dict[str, Market]
    files: list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Task:
    """A job, what its instances are, and by what the best are found."""

    job: Job
    combinations: tuple[tuple[int, Combination], ...]
    sort: str = "sharpe"

    @property
    def weight(self) -> int:
        """How many instances it runs."""
        return len(self.combinations)


def evaluate(task: Task) -> Evaluated:
    """Run a task in this process."""
    ran = backtest.run(task.job)
    collected = ran.collected
    markets = {
        key: Market(begin_us=opening.begin_us, seen=opening.seen)
        for key, opening in sorted(collected.openings.items())
    }
    for (key, name), klines in collected.klines.items():
        markets[key].klines[name] = klines
    for key, quality in collected.quality.items():
        if key in markets:
            markets[key].quality = quality
    results = [
        _result(task.job, collected, key, place, combination)
        for place, combination in task.combinations
        for key in markets
        if combination.spec.applies_to(key) and _is_traded(collected, key, combination)
    ]
    return Evaluated(only_best(results, task.sort), markets, [file.as_dict() for file in ran.files])


def merged(parts: Sequence[Evaluated], sort: str) -> Evaluated:
    """Return the whole of its parts, in the order of the grid, however they were cut."""
    results = sorted((r for part in parts for r in part.results), key=lambda r: (r.place, r.key))
    return Evaluated(only_best(results, sort), parts[0].markets, parts[0].files)


def only_best(results: list[Result], sort: str) -> list[Result]:
    """Drop the details of all but the best of each strategy on each instrument."""
    best: dict[tuple[str, str], Result] = {}
    for result in ordered(results, sort):
        best.setdefault((result.key, result.strategy), result)
    for result in results:
        if best[result.key, result.strategy] is not result:
            result.details = None
    return results


def ordered(results: Iterable[Result], sort: str) -> list[Result]:
    """Return results, best first; those without the figure last; equals in the order of the grid.

    Those that never traded come behind those that did, those that raised behind all.
    """
    name, more = SORTS[sort]

    def rank(result: Result) -> tuple[bool, bool, bool, float, int, str]:
        value = getattr(result.statistics, name)
        number = 0.0 if value is None else float(value)
        idle = not result.statistics.trades + result.statistics.open_trades
        place = (result.place, result.key)
        return bool(result.error), idle, value is None, -number if more else number, *place

    return sorted(results, key=rank)


def _is_traded(collected: Collected, key: str, combination: Combination) -> bool:
    begin_us = collected.openings[key].begin_us
    klines = collected.klines.get((key, combination.spec.interval))
    return bool(begin_us) and klines is not None and klines.close_us[-1] >= begin_us


def _result(
    job: Job, collected: Collected, key: str, place: int, combination: Combination
) -> Result:
    spec = combination.spec
    account: Account = (key, spec.instance)
    klines = collected.klines.get((key, spec.interval), Klines())
    opening = collected.openings[key]
    cash = job.paper.of(spec.instance).cash
    worth = collected.worth.get(account, Worth())
    # What was filled behind the last kline is not valued any more: it is not accounted.
    last_us = klines.close_us[-1]
    fills = [f for f in collected.fills.get(account, []) if f.time_us <= last_us]
    series = _series(klines, worth, opening.begin_us, float(cash))
    last = worth.last
    trips = trips_of(fills, None if last is None else last.price)
    signals = collected.signals.get(account, [])
    counted = [signal for signal in signals if opening.counts(signal.close_us)]
    figures = statistics(
        series,
        trips,
        cash=cash,
        equity=cash if last is None else last.equity,
        fees=Decimal(0) if last is None else last.fees,
    )
    return Result(
        place=place,
        key=key,
        strategy=spec.name,
        instance=spec.instance,
        interval=spec.interval,
        params=REGISTRY.make(spec).params.model_dump(mode="json"),
        varied=dict(combination.varied),
        statistics=figures,
        said=len(counted),
        early=len(signals) - len(counted),
        error=collected.errors.get(account, ""),
        details=Details(series, tuple(trips), tuple(fills), tuple(counted)),
    )


def _series(klines: Klines, worth: Worth, begin_us: int, cash: float) -> Series:
    # An account says nothing while it is flat: its last row holds until the next.
    closes = np.array(klines.close_us, dtype=np.int64)
    first = min(int(np.searchsorted(closes, begin_us)), max(0, len(closes) - 1))
    axis = closes[first:]
    times = np.array(worth.close_us, dtype=np.int64)
    at = np.searchsorted(times, axis, side="right")
    equity: Floats = np.append(cash, np.array(worth.equity, dtype=np.float64))[at]
    side = np.append(0, np.array(worth.side, dtype=np.int8)).astype(np.int8)[at]
    return Series(axis, equity, np.array(klines.close, dtype=np.float64)[first:], side)
