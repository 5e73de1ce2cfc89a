"""Small markets in files, and back-tests on them."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from core.market.intervals import MINUTE_US, interval
from core.paper.config import PaperConfig
from dataflows.backtest import Job, Ran, find_data, plan_for, run, window_for
from dataflows.klines import KlinePlan
from strategies.spec import InstanceSpec

START_US = 1_738_281_600_000_000  # 2025-01-31
KEY = "binance:BTCUSDT"
SPECS = (
    InstanceSpec(name="bollinger_breakout", params={"period": 4, "width": 0.5, "short": True}),
    InstanceSpec(name="macd_cross", params={"fast": 2, "slow": 4, "signal": 2}),
    InstanceSpec(name="rsi_reversal", params={"period": 3, "oversold": 45, "overbought": 55}),
)
FREE = PaperConfig(fee_bps=Decimal(0), slippage_bps=Decimal(0))


def walk(count: int, seed: int = 1) -> list[tuple[int, int]]:
    """Return opens and closes in cents; opens differ from the closes before them."""
    dice = np.random.default_rng(seed)
    closes = (10_000 * np.exp(np.cumsum(dice.normal(size=count)) * 4e-3)).astype(int).tolist()
    jumps = dice.choice([-7, -3, 4, 9], count).tolist()
    opens = [before + jump for before, jump in zip([10_000, *closes[:-1]], jumps, strict=True)]
    return list(zip(opens, closes, strict=True))


def write(folder: Path, rows: Sequence[tuple[int, int]], name: str = "BTCUSDT-1m.csv") -> Path:
    """Write klines as the exchange's archive has them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for n, (first, last) in enumerate(rows):
        at = (START_US + n * MINUTE_US) // 1000
        prices = [first, max(first, last) + 2, min(first, last) - 2, last]
        cells = ",".join(f"{price / 100:.2f}" for price in prices)
        lines.append(f"{at},{cells},1.111,{at + 59_999},100,9,0.5,50,0\n")
    path = folder / name
    path.write_text("".join(lines))
    return path


def job_of(path: Path, specs: Sequence[InstanceSpec] = SPECS, **more: Any) -> Job:  # noqa: ANN401 - of `window_for`
    """Return a job over one file, without costs."""
    found = find_data([path])
    plan = plan_for(found, KlinePlan(interval("1m"), ()), specs)
    return Job(found, None, plan, tuple(specs), FREE, window_for(specs, **more))


def ran(path: Path, specs: Sequence[InstanceSpec] = SPECS, **more: Any) -> Ran:  # noqa: ANN401 - likewise
    """Run it."""
    return run(job_of(path, specs, **more))
