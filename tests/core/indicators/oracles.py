"""What each indicator is compared with after every update, and relative to what.

TA-Lib where it has the same variant. Else the formula, in batch over whole windows: in whole
numbers and decimals of 50 digits where the float formula itself would be the weaker side.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import talib
from numpy.typing import NDArray

from core.indicators.base import Indicator
from core.indicators.registry import INDICATORS
from tests.core.indicators.formulas import (
    adx,
    bandwidth,
    cci,
    hlc,
    ichimoku,
    kama,
    keltner,
    mfi,
    parabolic_sar,
    percent_b,
    session_vwap,
    stoch_rsi,
    taker_imbalance,
    volatility,
    vwap,
    z_score,
)
from tests.core.indicators.series import Klines, Series


@dataclass(frozen=True)
class Oracle:
    """A way to compute an indicator otherwise.

    Attributes:
        what: Its name, for the reference.
        rows: Klines and parameters → the values, (n,) or (n, parts); NaN where there is none.
        scale: Klines and parameters → what an error is relative to; the values themselves if None.
        parameters: Sets to compare with; the first is what the reference shows.
        but: Series on which its own rounding errors are too large to compare with.
        settled: Whether it is seeded otherwise, and is compared after `convergence` only.

    """

    what: str
    rows: Callable[..., NDArray[Any]]
    parameters: tuple[tuple[Any, ...], ...]
    scale: Callable[..., NDArray[Any] | float] | None = None
    but: tuple[str, ...] = field(default=())
    settled: bool = False


def run(indicator: Indicator[Any], klines: Klines) -> NDArray[np.float64]:
    """Return the value after each single update, (n, parts)."""
    names = indicator.inputs or ("close",)
    said = []
    for row in zip(*(klines[name].tolist() for name in names), strict=True):
        value = indicator.update(*row)
        width = len(indicator.parts) or 1
        parts = value if isinstance(value, tuple) else (value,)
        said.append([np.nan] * width if value is None else [*parts])
    return np.array(said, dtype=np.float64)


def largest_error(oracle: Oracle, name: str, klines: Klines, parameters: tuple[Any, ...]) -> float:
    """Return the largest relative error; infinite if one knows where the other does not."""
    theirs = np.array(oracle.rows(klines, *parameters), dtype=np.float64)
    theirs = theirs.reshape(len(theirs), -1)
    indicator = INDICATORS[name](*parameters)
    ours = run(indicator, klines)[:, : theirs.shape[1]]
    if oracle.settled:
        ours[: indicator.convergence], theirs[: indicator.convergence] = np.nan, np.nan
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return float("inf")
    scale = np.abs(theirs) if oracle.scale is None else np.abs(oracle.scale(klines, *parameters))
    scale = scale.reshape(len(scale), -1) if isinstance(scale, np.ndarray) else np.array(scale)
    known = ~np.isnan(theirs)
    error, limit = np.abs(ours - theirs)[known], np.broadcast_to(scale, theirs.shape)[known]
    if not error.size:
        return 0.0
    # Equal is equal, also where both are 0.
    absent = np.where(error > 0, np.inf, 0.0)
    return float(np.max(np.divide(error, limit, out=absent, where=limit > 0)))


# What an error is relative to, where it is not the value itself.


def price(k: Klines, *_: Any) -> Series:  # noqa: ANN401 - any parameters
    """Return the close: the value is a difference of prices, or lies beside them."""
    return k["close"][:, None]


def recent_high(k: Klines, n: int, *_: Any) -> Series:  # noqa: ANN401 - any parameters
    """Return the highest price in the window: of its size are the numbers that are summed."""
    high = [k["high"][max(0, i - n + 1) : i + 1].max() for i in range(len(k["high"]))]
    return np.array(high)[:, None]


def highest_yet(k: Klines, *_: Any) -> Series:  # noqa: ANN401 - any parameters
    """Return the highest price so far: what fades leaves rounding of its size."""
    return np.maximum.accumulate(k["high"])[:, None]


def hundred(*_: Any) -> float:  # noqa: ANN401 - any parameters
    """Return the size of an index from 0 to 100."""
    return 100.0


ORACLES: dict[str, Oracle] = {
    # Not where a float holds but seven digits of a move.
    "adx": Oracle(
        "TA-Lib ADX, PLUS_DI, MINUS_DI of whole ticks",
        adx,
        ((14,), (2,), (40,)),
        hundred,
        but=("60,000 with noise of 1e-4",),
    ),
    "atr": Oracle("TA-Lib ATR", lambda k, n: talib.ATR(*hlc(k), n), ((14,), (1,), (50,))),
    "bandwidth": Oracle("formula, 50 digits", bandwidth, ((20, 2.0), (5, 1.5))),
    "bollinger": Oracle(
        "TA-Lib BBANDS",
        lambda k, n, w: np.column_stack(talib.BBANDS(k["close"], n, w, w)),
        ((20, 2.0), (5, 1.5), (100, 3.0)),
        recent_high,
    ),
    "cci": Oracle("formula, whole numbers", cci, ((20,), (2,), (100,))),
    "dema": Oracle("TA-Lib DEMA", lambda k, n: talib.DEMA(k["close"], n), ((20,), (2,), (50,))),
    "donchian": Oracle(
        "TA-Lib DONCHIAN",
        lambda k, n: np.column_stack(talib.DONCHIAN(k["high"], k["low"], n)),
        ((20,), (2,), (100,)),
    ),
    "ema": Oracle("TA-Lib EMA", lambda k, n: talib.EMA(k["close"], n), ((20,), (2,), (26,))),
    "ichimoku": Oracle("formula", ichimoku, ((9, 26, 52, 26), (2, 3, 5, 1))),
    "kama": Oracle("formula, 50 digits", kama, ((10, 2, 30), (2, 3, 10), (30, 2, 30))),
    "keltner": Oracle(
        "TA-Lib EMA and ATR", keltner, ((20, 10, 2.0), (5, 30, 1.5)), highest_yet
    ),
    "macd": Oracle(
        "TA-Lib MACD",
        lambda k, *n: np.column_stack(talib.MACD(k["close"], *n)),
        ((12, 26, 9), (3, 7, 2), (5, 35, 5), (2, 40, 1)),
        price,
    ),
    "mfi": Oracle("formula, correctly rounded", mfi, ((14,), (2,), (60,)), hundred),
    "momentum": Oracle("TA-Lib MOM", lambda k, n: talib.MOM(k["close"], n), ((10,), (1,))),
    "obv": Oracle(
        "TA-Lib OBV",
        lambda k: talib.OBV(k["close"], k["volume"]),
        ((),),
        lambda k: np.maximum.accumulate(np.cumsum(k["volume"]))[:, None],
    ),
    "parabolic_sar": Oracle("formula, 50 digits", parabolic_sar, ((0.02, 0.2), (0.1, 0.5))),
    "percent_b": Oracle("formula, 50 digits", percent_b, ((20, 2.0), (5, 1.5))),
    "rma": Oracle("TA-Lib RMA", lambda k, n: talib.RMA(k["close"], n), ((20,), (2,), (14,))),
    "roc": Oracle("TA-Lib ROC", lambda k, n: talib.ROC(k["close"], n), ((10,), (1,)), hundred),
    "rsi": Oracle("TA-Lib RSI", lambda k, n: talib.RSI(k["close"], n), ((14,), (2,))),
    "session_vwap": Oracle("formula, correctly rounded", session_vwap, ((1440,),)),
    "sma": Oracle("TA-Lib SMA", lambda k, n: talib.SMA(k["close"], n), ((20,), (200,))),
    "stoch_rsi": Oracle(
        "TA-Lib RSI, then the formula", stoch_rsi, ((14, 14, 3, 3), (14, 5, 1, 3)), hundred
    ),
    "stochastic": Oracle(
        "TA-Lib STOCH",
        lambda k, n, slow, d: np.column_stack(
            talib.STOCH(*hlc(k), fastk_period=n, slowk_period=slow, slowd_period=d)
        ),
        ((14, 3, 3), (5, 1, 3), (100, 3, 7)),
        hundred,
    ),
    "supertrend": Oracle(
        "TA-Lib SUPERTREND",
        lambda k, n, x: np.column_stack(
            [
                talib.SUPERTREND(*hlc(k), n, x)[0],
                np.where(
                    np.isnan(talib.SUPERTREND(*hlc(k), n, x)[0]),
                    np.nan,
                    talib.SUPERTREND(*hlc(k), n, x)[1],
                ),
            ]
        ),
        ((10, 3.0), (2, 1.0)),
        highest_yet,
    ),
    "taker_imbalance": Oracle("formula, correctly rounded", taker_imbalance, ((20,), (3,)),
                              lambda *_: 1.0),
    "tema": Oracle("TA-Lib TEMA", lambda k, n: talib.TEMA(k["close"], n), ((20,), (2,), (50,))),
    "volatility": Oracle("formula, 50 digits", volatility, ((20, 1, 1.0), (5, 0, 365.0))),
    "vwap": Oracle("formula, correctly rounded", vwap, ((20,), (3,))),
    "williams_r": Oracle("TA-Lib WILLR", lambda k, n: talib.WILLR(*hlc(k), n),
                         ((14,), (2,), (100,)), hundred),
    "wma": Oracle("TA-Lib WMA", lambda k, n: talib.WMA(k["close"], n), ((20,), (2,), (100,))),
    "z_score": Oracle("formula, 50 digits", z_score, ((20,), (5,))),
}  # fmt: skip

# Where TA-Lib has the variant, but is weaker or begins otherwise: why, and what is left to compare.
PEERS: dict[str, Oracle] = {
    # It sums floats anew each time, and says 0 where a deviation is below 1e-14.
    "cci": Oracle(
        "TA-Lib CCI",
        lambda k, n: talib.CCI(*hlc(k), n),
        ((20,),),
        lambda k, n: np.abs(cci(k, n))[:, None] + 1e3,
        but=("60,000 with noise of 1e-4",),
    ),
    # Its running sum of moves keeps a residue of the largest one.
    "kama": Oracle(
        "TA-Lib KAMA",
        lambda k, n, *_: talib.KAMA(k["close"], n),
        ((10, 2, 30), (30, 2, 30)),
        highest_yet,
    ),
    # It seeds the average true range with the klines before the first value.
    "keltner": Oracle(
        "TA-Lib KC",
        lambda k, n, m, x: np.column_stack(talib.KC(*hlc(k), n, m, x)),
        ((20, 10, 2.0), (5, 30, 1.5)),
        highest_yet,
        settled=True,
    ),
    # Its running sums keep a residue of the largest flow: 2e-5 after a jump of the price by 1,000.
    "mfi": Oracle(
        "TA-Lib MFI",
        lambda k, n: talib.MFI(*hlc(k), k["volume"], n),
        ((14,), (2,), (60,)),
        hundred,
        but=("jumps",),
    ),
    # Whether a price equals the stop hangs on its rounding; with the usual pace that is rare.
    "parabolic_sar": Oracle(
        "TA-Lib SAR",
        lambda k, step, most: talib.SAR(k["high"], k["low"], step, most),
        ((0.02, 0.2),),
    ),
}
