"""Lake trades → klines → three strategies → signals on one worker, beside a Polars group-by."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.data import trades
from bench.rows import Row
from connectors.parquet.config import LakeConfig
from connectors.parquet.source import LakeSource
from connectors.parquet.writer import LakeWriter
from core.market.intervals import interval
from dataflows import engine
from dataflows.klines import KlinePlan
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from strategies.spec import InstanceSpec

ROWS = 8_000_000
_NAUTILUS_PER_S = 350_000
"""Nautilus' back-test engine, trades to 1m bars to RSI, MACD, Bollinger, on a like machine."""

STRATEGIES = ("rsi_reversal", "macd_cross", "bollinger_breakout")


def replay(rows: int = ROWS) -> list[Row]:
    """Write a lake, replay it, group the same files with Polars; return the figures."""
    with TemporaryDirectory() as folder:
        lake = Path(folder)
        writer = LakeWriter(LakeConfig(path=lake, rotate_seconds=86_400))
        for batch in trades(rows):
            writer.write(batch)
        writer.flush_all()
        files = sorted(lake.rglob("part-*.parquet"))
        size = sum(file.stat().st_size for file in files)
        wall, cpu = _flow(lake)
        polars = _polars([str(file) for file in files])
    rate = rows / wall
    return [
        Row("trades on disk", size / rows, "bytes", 5.0, at_most=True),
        Row("replay to klines and three strategies, one worker", rate / 1e6, "M trades/s", 5.0,
            against=f"{rows / cpu / 1e6:.1f} M per CPU second"),
        Row("replay against Polars group-by, both cores", polars / wall, "x", 0.3,
            against=f"Polars {rows / polars / 1e6:.1f} M trades/s"),
        Row("replay against Nautilus (350 k/s as measured elsewhere)", rate / _NAUTILUS_PER_S,
            "x", 15.0),
    ]  # fmt: skip


def _flow(lake: Path) -> tuple[float, float]:
    specs = tuple(InstanceSpec(name=name) for name in STRATEGIES)
    work = Work(KlinePlan(base=interval("1m"), intervals=(interval("1m"),)), specs)
    best = (float("inf"), float("inf"))
    for _ in range(3):
        flow = build({"lake": LakeSource(lake)}, work, Outputs())
        wall, cpu = time.perf_counter(), time.process_time()
        engine.run(flow)
        best = min(best, (time.perf_counter() - wall, time.process_time() - cpu))
    return best


def _polars(files: list[str]) -> float:
    import polars as pl

    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        price, quantity = pl.col("price"), pl.col("quantity")
        (
            pl.scan_parquet(files)
            .with_columns(window=pl.col("time").dt.truncate("1m"))
            .group_by("window")
            .agg(
                open=price.first(),
                high=price.max(),
                low=price.min(),
                close=price.last(),
                volume=quantity.sum(),
                trades=pl.len(),
            )
            .collect()
        )
        best = min(best, time.perf_counter() - began)
    return best
