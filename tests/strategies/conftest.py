"""Klines to feed strategies with, and signals in a form that a test can read."""

import csv
import gzip
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from core.market.intervals import interval
from core.market.kline import Kline
from strategies.base import Strategy

KEY = "binance:BTCUSDT"
NEAR = (
    Path(__file__).resolve().parents[3]
    / "shared"
    / "data"
    / "kl-full12"
    / "usdm_NEARUSDT-1m-2026-06.csv.gz"
)

MakeKlines = Callable[..., list[Kline]]
Said = tuple[int, str]


def _klines(
    closes: Iterable[float], *, first: int = 0, name: str = "1m", key: str = KEY, scale: int = 6
) -> list[Kline]:
    window = interval(name)
    made = []
    before = None
    for i, close in enumerate(closes, start=first):
        units = round(close * 10**scale)
        opened = units if before is None else before
        before = units
        volume = 500 + i * 7919 % 4001  # never the same for long
        open_us = i * window.length_us
        made.append(
            Kline(
                key=key,
                interval=window,
                open_us=open_us,
                close_us=open_us + window.length_us - 1,
                price_scale=scale,
                quantity_scale=3,
                open_units=opened,
                high_units=max(opened, units),
                low_units=min(opened, units),
                close_units=units,
                volume_units=volume,
                quote_volume_units=volume * units,
                trades=3,
                taker_buy_volume_units=volume // 3,
                taker_buy_quote_volume_units=volume // 3 * units,
                first_id=3 * i,
                last_id=3 * i + 2,
                seq=i,
            )
        )
    return made


@pytest.fixture(scope="session")
def klines() -> MakeKlines:
    """Return a function: closes → one kline each, from window `first` on."""
    return _klines


@pytest.fixture(scope="session")
def said() -> Callable[[Strategy, Sequence[Kline]], list[Said]]:
    """Return a function: a strategy and klines → (number of the kline, side) of each signal."""

    def run(strategy: Strategy, given: Sequence[Kline]) -> list[Said]:
        out: list[Said] = []
        for i, kline in enumerate(given):
            out += [(i, str(signal.side)) for signal in strategy.feed(kline)]
        return out

    return run


@pytest.fixture(scope="session")
def walk() -> list[float]:
    """Return 3,000 closes of a random walk, rounded as prices are."""
    dice = np.random.default_rng(11)
    steps = np.cumsum(dice.normal(size=3000) * 1e-3)
    closes: list[float] = np.round(100 * np.exp(steps), 2).tolist()
    return closes


@pytest.fixture(scope="session")
def near() -> list[float]:
    """Return 10,000 recorded closes."""
    if not NEAR.exists():
        pytest.skip("no recorded klines here")
    with gzip.open(NEAR, "rt", newline="") as lines:
        rows = csv.DictReader(lines)
        return [float(row["close"]) for row, _ in zip(rows, range(10_000), strict=False)]


@pytest.fixture(params=["walk", "near"])
def closes(request: pytest.FixtureRequest) -> list[float]:
    """Return the random walk, then the recorded closes."""
    found: list[float] = request.getfixturevalue(request.param)
    return found
