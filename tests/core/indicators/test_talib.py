"""Every value after every update equals TA-Lib's to 1e-9, on hostile series and on real klines.

Relative to what: means and RSI to TA-Lib's own value. MACD and the bands are differences of
prices (or lie beside them), whose error is that of the prices: relative to the price.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from core.indicators.base import Indicator, Scalar
from core.indicators.bollinger import Bollinger
from core.indicators.ema import Ema
from core.indicators.macd import Macd
from core.indicators.rma import Rma
from core.indicators.rsi import Rsi
from core.indicators.sma import Sma

Series = NDArray[np.float64]

RELATIVE = 1e-9


def updates(indicator: Indicator[Any], series: Series) -> Series:
    """Return the value after each single update: (n, parts), NaN where there is none."""
    width = max(1, len(indicator.parts))
    rows = []
    for x in series.tolist():
        value = indicator.update(x)
        parts = value if isinstance(value, tuple) else (value,)
        rows.append([np.nan] * width if value is None else [*parts])
    return np.array(rows, dtype=np.float64)


def largest_error(ours: Series, theirs: Series, scale: Series) -> float:
    """Return the largest error relative to `scale`; both must know and not know the same rows."""
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    known = ~np.isnan(theirs)
    error = np.abs(ours - theirs)[known]
    limit = np.broadcast_to(np.abs(scale), theirs.shape)[known]
    # Equal is equal, also where both are 0.
    return float(
        np.max(np.divide(error, limit, out=np.where(error > 0, np.inf, 0.0), where=limit > 0))
    )


SCALARS: dict[str, tuple[Callable[[], Scalar], Callable[[Series], Series]]] = {
    "sma(20)": (lambda: Sma(20), lambda x: talib.SMA(x, 20)),
    "sma(200)": (lambda: Sma(200), lambda x: talib.SMA(x, 200)),
    "ema(2)": (lambda: Ema(2), lambda x: talib.EMA(x, 2)),
    "ema(26)": (lambda: Ema(26), lambda x: talib.EMA(x, 26)),
    "rsi(14)": (lambda: Rsi(14), lambda x: talib.RSI(x, 14)),
    "rsi(2)": (lambda: Rsi(2), lambda x: talib.RSI(x, 2)),
}


@pytest.mark.parametrize("name", SCALARS)
def test_means_and_rsi_equal_talib_after_every_update(name: str, series: Series) -> None:
    make, oracle = SCALARS[name]
    expected = oracle(series)
    ours = updates(make(), series)[:, 0]
    assert largest_error(ours, expected, expected) <= RELATIVE


@pytest.mark.parametrize("periods", [(12, 26, 9), (3, 7, 2), (5, 35, 5), (2, 40, 1)])
def test_macd_equals_talib_after_every_update(
    periods: tuple[int, int, int], series: Series
) -> None:
    fast, slow, signal = periods
    expected = np.column_stack(talib.MACD(series, fast, slow, signal))
    ours = updates(Macd(fast, slow, signal), series)
    assert largest_error(ours, expected, series[:, None]) <= RELATIVE


@pytest.mark.parametrize(("period", "width"), [(20, 2.0), (5, 1.5), (100, 3.0)])
def test_bands_equal_talib_after_every_update(period: int, width: float, series: Series) -> None:
    expected = np.column_stack(talib.BBANDS(series, period, width, width))
    ours = updates(Bollinger(period, width), series)
    # Relative to the highest price in the window: of its size are the numbers that are summed.
    highest = np.array([series[max(0, i - period + 1) : i + 1].max() for i in range(len(series))])
    assert largest_error(ours, expected, highest[:, None]) <= RELATIVE


@pytest.mark.parametrize("period", [2, 14])
def test_wilders_mean_equals_that_of_the_average_true_range(period: int, series: Series) -> None:
    # With high = low = close the true range is the move, and TA-Lib's ATR is its Wilder mean.
    expected = talib.ATR(series, series, series, period)[1:]
    ours = updates(Rma(period), np.abs(np.diff(series)))[:, 0]
    assert (
        largest_error(ours, expected, np.maximum(expected, np.abs(series[1:]) * 1e-6)) <= RELATIVE
    )
