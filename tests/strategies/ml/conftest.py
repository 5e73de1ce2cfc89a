"""Klines that can be predicted, a little."""

from collections.abc import Callable

import numpy as np
import pytest

from core.market.intervals import interval
from core.market.kline import Kline
from strategies.ml.features import FeatureSet

KEY = "binance:BTCUSDT"


def walk(count: int, *, seed: int = 7) -> list[Kline]:
    """Return klines whose returns follow those before: what was bought is bought again."""
    dice = np.random.default_rng(seed)
    window, made, price, drift = interval("1m"), [], 100_000.0, 0.0
    for i, noise in enumerate(dice.normal(size=count).tolist()):
        drift = 0.8 * drift + noise * 4e-4
        before, price = round(price), price * float(np.exp(drift))
        close = round(price)
        high, low = max(before, close) + 3, min(before, close) - 3
        volume = 1000 + int(abs(noise) * 500)
        open_us = i * window.length_us
        made.append(
            Kline(
                KEY, window, open_us, open_us + window.length_us - 1, 2, 3, before, high, low,
                close, volume, volume * close, 5, volume // 2 + int(noise * 100),
                volume // 2 * close, 5 * i, 5 * i + 4, seq=i,
            )
        )  # fmt: skip
    return made


MakeWalk = Callable[..., list[Kline]]


@pytest.fixture(scope="session")
def make_walk() -> MakeWalk:
    """Return the function that makes klines."""
    return walk


@pytest.fixture(scope="session")
def base() -> FeatureSet:
    """Return a set with each kind of feature."""
    return FeatureSet.model_validate(
        {
            "name": "base",
            "features": [
                {"indicator": "rsi", "params": {"period": 5}},
                {"indicator": "macd", "params": {"fast": 3, "slow": 6}, "output": "histogram"},
                {"indicator": "macd", "params": {"fast": 3, "slow": 6}, "output": "line"},
                {"indicator": "ema", "params": {"period": 5}, "relative": True},
                {"indicator": "atr", "params": {"period": 5}, "lag": 2},
                {"return": 1},
                {"return": 3, "lag": 1, "source": "volume"},
                {"volatility": 10},
                {"taker_imbalance": 5},
                {"time_of_day": "sin"},
                {"day_of_week": "cos"},
            ],
        }
    )
