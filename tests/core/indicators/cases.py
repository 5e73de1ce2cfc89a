"""Every indicator with parameters to make it with, and klines in the order of its inputs."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.indicators.base import Indicator
from core.indicators.registry import INDICATORS
from tests.core.indicators.series import klines

# One line per class: parameters to make it with, and others.
CASES: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "adx": ((5,), (6,)),
    "atr": ((5,), (6,)),
    "bandwidth": ((5, 2.0), (5, 2.5)),
    "bollinger": ((5, 2.0), (5, 2.5)),
    "cci": ((5,), (6,)),
    "dema": ((5,), (6,)),
    "donchian": ((5,), (6,)),
    "ema": ((5,), (6,)),
    "ichimoku": ((2, 4, 6, 3), (2, 4, 6, 4)),
    "kama": ((5, 2, 10), (5, 3, 10)),
    "keltner": ((5, 4, 2.0), (5, 4, 1.5)),
    "macd": ((3, 6, 4), (3, 6, 5)),
    "mfi": ((5,), (6,)),
    "momentum": ((5,), (6,)),
    "obv": ((), ()),
    "parabolic_sar": ((0.1, 0.5), (0.1, 0.4)),
    "percent_b": ((5, 2.0), (5, 2.5)),
    "rma": ((5,), (6,)),
    "roc": ((5,), (6,)),
    "rsi": ((5,), (6,)),
    "session_vwap": ((206,), (207,)),
    "sma": ((5,), (6,)),
    "stoch_rsi": ((5, 4, 3, 2), (5, 4, 3, 3)),
    "stochastic": ((5, 3, 2), (5, 3, 3)),
    "supertrend": ((5, 1.0), (5, 2.0)),
    "taker_imbalance": ((5,), (6,)),
    "tema": ((5,), (6,)),
    "volatility": ((5, 1, 365.0), (5, 0, 365.0)),
    "vwap": ((5,), (6,)),
    "williams_r": ((5,), (6,)),
    "wma": ((5,), (6,)),
    "z_score": ((5,), (6,)),
}

Row = tuple[float, ...]

PRICES = st.one_of(
    st.floats(0.0, 1e6, allow_subnormal=False),
    st.integers(1, 200).map(lambda n: n * 1e-8),
    st.integers(-3, 3).map(lambda n: 60_000 + n * 1e-4),
)
SHARES = st.sampled_from([0.0, 0.25, 1.0])
VOLUMES = st.one_of(st.just(0.0), st.floats(0.0, 1e6, allow_subnormal=False))


@st.composite
def _klines(draw: st.DrawFn) -> dict[str, float]:
    low, high = sorted((draw(PRICES), draw(PRICES)))
    if draw(st.booleans()):
        low = high
    volume = draw(VOLUMES)
    close = min(high, low + draw(SHARES) * (high - low))
    return {
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
        "quote_volume": volume * close,
        "taker_buy_volume": volume * draw(SHARES),
    }


KLINES = _klines()
RUNS = st.lists(KLINES, min_size=1, max_size=40)


def make(name: str) -> Indicator[Any]:
    return INDICATORS[name](*CASES[name][0])


def rows(name: str, drawn: list[dict[str, float]], *, first: int = 0) -> list[Row]:
    """Return what the indicator takes of klines, seven minutes apart."""
    inputs, taken = INDICATORS[name].inputs or ("close",), []
    for n, kline in enumerate(drawn, first):
        whole = {"open_us": 1_735_689_600_000_000 + n * 420_000_000, **kline}
        # Without a price there is no return.
        least = 1e-8 if name == "volatility" else 0.0
        taken.append(tuple(max(least, whole[field]) for field in inputs))
    return taken


def run(indicator: Indicator[Any], taken: list[Row]) -> list[Any]:
    return [indicator.update(*row) for row in taken]


def bulk(taken: list[Row], name: str) -> NDArray[np.float64]:
    """Return the rows as `update_many` takes them."""
    table = np.array(taken, dtype=np.float64)
    inputs = INDICATORS[name].inputs
    return table.reshape(-1, len(inputs)) if inputs else table.reshape(-1)


def walk(name: str, n: int, *, seed: int = 7) -> list[Row]:
    dice = np.random.default_rng(seed)
    closes = np.round(100 * np.exp(np.cumsum(dice.normal(size=n) * 1e-3)), 3)
    table = klines(closes, seed=seed)
    columns = (table[field].tolist() for field in INDICATORS[name].inputs or ("close",))
    return list(zip(*columns, strict=True))
