"""One rule over one file of klines: our flow beside backtesting.py, each from the file to trades.

Ours parses exact decimals, keeps exact books, and runs the same steps as live; theirs computes the
indicator of the whole column at once (with TA-Lib) and loops over floats; its time
includes its table of figures.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.micro import cpu
from bench.rows import Row
from core.market.intervals import MINUTE_US, interval
from core.paper.config import PaperConfig
from core.paper.trips import trips_of
from dataflows.backtest import Job, find_data, plan_for, run, window_for
from dataflows.backtest_grid import grid_of
from dataflows.klines import KlinePlan
from strategies.spec import InstanceSpec

KLINES = 50_000
_MANY = 50
_START_MS = 1_735_689_600_000  # 2025-01-01
_COLUMNS = ("time", "Open", "High", "Low", "Close", "Volume")


def backtest(klines: int = KLINES) -> list[Row]:
    """Back-test RSI on that many 1m klines with both, and 50 instances of it with ours."""
    with TemporaryDirectory() as folder:
        path = _file(Path(folder), klines)
        found: list[int] = []
        ours = cpu(lambda: found.append(_ours(path)), repeats=3)
        many = cpu(lambda: _ours(path, "period=10:59:1"), repeats=1)
        theirs = _theirs(path)
    trades = found[0]
    against = "backtesting.py is not installed"
    if theirs is not None:
        seconds, count = theirs
        against = (
            f"backtesting.py {klines / seconds / 1e3:.0f} k/s: ours is {seconds / ours:.2f} x; "
            f"{trades} and {count} trades"
        )
    return [
        Row("back-test of RSI, file to trades", klines / ours / 1e3, "k klines/CPU s",
            against=against),
        Row(f"the same with {_MANY} instances in one flow", klines * _MANY / many / 1e3,
            "k klines/CPU s"),
    ]  # fmt: skip


def _file(folder: Path, count: int) -> Path:
    dice = np.random.default_rng(1)
    closes = np.round(100 * np.exp(np.cumsum(dice.normal(size=count)) * 5e-4), 2)
    opens = np.append(100.0, closes[:-1])
    rows = []
    for n, (first, last) in enumerate(zip(opens.tolist(), closes.tolist(), strict=True)):
        at = _START_MS + n * MINUTE_US // 1000
        high, low = max(first, last) + 0.02, min(first, last) - 0.02
        prices = f"{first:.2f},{high:.2f},{low:.2f},{last:.2f}"
        rows.append(f"{at},{prices},12.345,{at + 59_999},1234.5,9,6,600,0\n")
    path = folder / "BTCUSDT-1m.csv"
    path.write_text("".join(rows))
    return path


def _ours(path: Path, *params: str) -> int:
    grid = grid_of([InstanceSpec(name="rsi_reversal")], params)
    specs = tuple(combination.spec for combination in grid.combinations)
    data = find_data([path])
    plan = plan_for(data, KlinePlan(interval("1m"), ()), specs)
    window = window_for(specs, warmup="lookback")
    paper = PaperConfig.model_validate({"fee_bps": 10, "slippage_bps": 0, "cash": 10_000_000})
    job = Job(data, None, plan, specs, paper, window)
    collected = run(job).collected
    trips = (trip for own in collected.fills.values() for trip in trips_of(own))
    return sum(not trip.is_open for trip in trips)


def _theirs(path: Path) -> tuple[float, int] | None:
    try:
        import pandas as pd
        import talib
        from backtesting import Backtest, Strategy
    except ImportError:
        return None

    class Rsi(Strategy):  # type: ignore[misc]  # it has no types
        def init(self) -> None:
            self.rsi = self.I(talib.RSI, self.data.Close, 14)

        def next(self) -> None:
            before, now = self.rsi[-2], self.rsi[-1]
            if before <= 30 < now and not self.position:
                self.buy(size=0.999)
            elif before >= 70 > now and self.position:
                self.position.close()

    counts: list[int] = []

    def test() -> None:
        frame = pd.read_csv(path, header=None, usecols=range(6), names=_COLUMNS, index_col=0)
        frame.index = pd.to_datetime(frame.index, unit="ms")
        made: Any = Backtest(frame, Rsi, cash=10_000_000, commission=0.001, finalize_trades=False)
        counts.append(int(made.run()["# Trades"]))

    return cpu(test, repeats=3), counts[-1]
