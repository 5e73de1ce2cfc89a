"""A back-test on the terminal: how far it is, and its best combinations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.output import ERR, OUT, table
from dataflows.backtest_grid import Grid
from dataflows.backtest_window import Window
from reports.page import Cell, clock, number, percent
from reports.results import Evaluated, Result, ordered
from reports.run import Run

_COLUMNS = (
    "strategy", "symbol", "parameters", "return", "of a year", "Sharpe", "Sortino", "drawdown",
    "trades", "won", "profit factor", "fees", "",
)  # fmt: skip


@contextmanager
def sweep_bar(count: int, *, show: bool) -> Iterator[Callable[[float], None]]:
    """Draw how much of the work is done; yields what is to be told from 0 to 1."""
    if not show or not ERR.is_terminal:
        yield lambda _: None
        return
    what = "back-test" if count == 1 else f"{count} combinations"
    columns = (
        TextColumn(what), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=ERR, transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda done: progress.update(task, completed=done)


def print_best(run: Run, found: Evaluated) -> None:
    """Print the best combinations with their main figures."""
    results = ordered(found.results, run.sort)
    rows = [_row(result) for result in results[: run.top]]
    OUT.print(table(*_COLUMNS, rows=rows, right=tuple(range(3, 12))))


def _row(result: Result) -> tuple[object, ...]:
    of = result.statistics
    own = " ".join(f"{name}={value}" for name, value in result.varied.items())
    cells = (
        percent(of.total_return), percent(of.annual_return), number(of.sharpe), number(of.sortino),
        percent(of.max_drawdown), Cell(str(of.trades)), percent(of.win_rate, signed=False),
        number(of.profit_factor), number(float(of.fees)),
    )  # fmt: skip
    note = "[bold red]errored[/]" if result.error else ""
    symbol = result.key.partition(":")[2]
    return (result.strategy, escape(symbol), escape(own), *(c.text for c in cells), note)


def tell(grid: Grid, window: Window, found: Evaluated) -> None:
    """Say on stderr what people should know of a back-test beside its figures."""
    results = found.results
    errored = [result for result in results if result.error]
    if errored:
        last = errored[0].error.strip().rpartition("\n")[2]
        ERR.print(f"[bold red]{len(errored)} errored[/], the first: {escape(last)}")
    if grid.refused:
        name, why = grid.refused[0]
        ERR.print(f"{len(grid.refused)} combinations left out: {escape(name)}: {escape(why)}")
    begins = {market.begin_us for market in found.markets.values() if market.begin_us}
    start_us = window.start_us
    late = [us for us in begins if start_us and us > start_us + 1]
    if late:
        ERR.print(f"the warm-up lasts until {clock(max(late))}, behind --from: give earlier data")
