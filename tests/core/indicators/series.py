"""Klines to run indicators over: hostile ones, always, and real ones where they are present."""

import csv
import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.feather as feather
from numpy.typing import NDArray

Series = NDArray[np.float64]
Klines = dict[str, Series]
"""Columns by the names that an indicator's `inputs` use; `close` is what those without take."""

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
NEAR = DATA / "kl-full12" / "usdm_NEARUSDT-1m-2026-06.csv.gz"
BTC = DATA / "kl-spot-2024-08" / "BTC_USDT-1m.feather"
MAGIC = DATA / "kl-gaps" / "2023_MAGIC_BTC-1m.json.gz"
REAL_ROWS = 10_000
_MINUTE_US = 60_000_000


def closes() -> dict[str, Series]:
    """Return closes that floating point, or a formula, may stumble over."""
    dice = np.random.default_rng(20240808)
    walk = 100 * np.exp(np.cumsum(dice.normal(size=1500) * 1e-3))
    jumps = np.round(walk, 2)
    jumps[300:600] *= 1000
    jumps[700] *= 100
    jumps[900:] /= 1000
    ticks = 1e-8 * np.cumsum(dice.integers(-1, 2, 1500))
    pauses = np.round(walk, 2)
    for start in range(100, 1400, 130):
        pauses[start : start + 60] = pauses[start]
    return {
        "constant": np.full(400, 0.1),
        "constant then moving": np.concatenate([np.full(300, 61837.63), np.round(walk, 2)]),
        "ticks of 1e-8": np.round(1.2e-5 + ticks, 8),
        "jumps": jumps,
        "60,000 with noise of 1e-4": 60_000 + dice.uniform(-1e-4, 1e-4, 1500),
        "rising only": np.arange(1.0, 400.0),
        "alternating": np.tile([1.0, 2.0], 200),
        "pauses": pauses,
    }


def klines(close: Series, *, seed: int = 3) -> Klines:
    """Return klines with these closes; those that do not move have no volume, and are flat.

    All prices are decimals, as those of exchanges are.
    """
    dice = np.random.default_rng(seed)
    close = np.round(close, 10)
    before = np.concatenate([close[:1], close[:-1]])
    still = before == close
    wick = np.where(still, 0.0, np.abs(close - before) * dice.integers(0, 3, len(close)) / 2)
    low, high = np.minimum(before, close), np.maximum(before, close)
    high, low = high + wick, np.maximum(low - wick[::-1] * ~still, low / 2)
    high, low = np.round(high, 10), np.round(low, 10)
    volume = np.where(still, 0.0, np.round(dice.pareto(0.7, len(close)) * 10, 5))
    return {
        "open_us": 1_735_689_600_000_000.0 + np.arange(len(close)) * 7.0 * _MINUTE_US,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
        "quote_volume": volume * (high + low) / 2,
        "taker_buy_volume": np.round(volume * dice.random(len(close)), 5).clip(0, volume),
    }


HOSTILE: dict[str, Klines] = {name: klines(close) for name, close in closes().items()}
REAL = {"near": NEAR, "btc": BTC, "magic": MAGIC}


def _near() -> Klines:
    with gzip.open(NEAR, "rt", newline="") as lines:
        rows = [row for row, _ in zip(csv.DictReader(lines), range(REAL_ROWS))]  # noqa: B905 - the first rows only
    names = ("high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
    columns = {name: np.array([float(row[name]) for row in rows]) for name in names}
    return {"open_us": np.array([float(row["open_time"]) * 1000 for row in rows]), **columns}


def _without_quote(open_us: Series, high: Series, low: Series, close: Series, v: Series) -> Klines:
    dice = np.random.default_rng(11)
    return {
        "open_us": open_us,
        "high": high,
        "low": low,
        "close": close,
        "volume": v,
        "quote_volume": v * (high + low + close) / 3,
        "taker_buy_volume": v * dice.random(len(v)),
    }


def _btc() -> Klines:
    table = feather.read_table(BTC)
    open_us = table["date"].to_numpy().astype("datetime64[us]").astype(np.float64)
    names = ("high", "low", "close", "volume")
    columns = [np.asarray(table[n].to_numpy(), dtype=np.float64)[:REAL_ROWS] for n in names]
    return _without_quote(open_us[:REAL_ROWS], *columns)


def _magic() -> Klines:
    with gzip.open(MAGIC) as packed:
        rows = np.array(json.load(packed)[:REAL_ROWS], dtype=np.float64)
    return _without_quote(rows[:, 0] * 1000, rows[:, 2], rows[:, 3], rows[:, 4], rows[:, 5])


_READ: dict[str, Callable[[], Klines]] = {"near": _near, "btc": _btc, "magic": _magic}


@cache
def named(name: str) -> Klines | None:
    """Return klines by name; None for real ones that are not present."""
    if name in HOSTILE:
        return HOSTILE[name]
    return _READ[name]() if REAL[name].exists() else None
