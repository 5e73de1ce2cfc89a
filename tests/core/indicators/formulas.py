"""Indicators in batch, over whole windows: what the streaming ones are compared with.

In whole numbers and in decimals of 50 digits where the float formula would be the weaker side.
"""

from collections.abc import Iterator
from decimal import Decimal, localcontext
from itertools import accumulate
from math import fsum
from typing import Any

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tests.core.indicators.series import Klines, Series

DIGITS = 50
_DAY_US = 86_400_000_000


def hlc(k: Klines) -> tuple[Series, Series, Series]:
    """Return high, low and close."""
    return k["high"], k["low"], k["close"]


def whole_numbers(series: Series) -> tuple[list[int], int]:
    """Return a series as whole numbers of one unit, and how many units are 1."""
    ratios = [x.as_integer_ratio() for x in series.tolist()]
    unit = max(bottom for _, bottom in ratios)
    return [top * (unit // bottom) for top, bottom in ratios], unit


def windows(series: Series, n: int) -> Iterator[tuple[list[int], int, int]]:
    """Yield each window of whole numbers, with its sum and that of its squares."""
    units, _ = whole_numbers(series)
    sums = [0, *accumulate(units)]
    squares = [0, *accumulate(x * x for x in units)]
    for i in range(n, len(units) + 1):
        yield units[i - n : i], sums[i] - sums[i - n], squares[i] - squares[i - n]


def after(n: int, values: list[Any]) -> Series:
    """Return values with n NaN before them."""
    return np.array([np.nan] * n + [float(x) for x in values], dtype=np.float64)


def spread_score(window: list[int], total: int, squares: int) -> Decimal:
    """Return the standard score of the last number of a window."""
    n = len(window)
    variance = n * squares - total * total
    return Decimal(n * window[-1] - total) / Decimal(variance).sqrt() if variance else Decimal(0)


def z_score(k: Klines, n: int) -> Series:
    with localcontext(prec=DIGITS):
        return after(n - 1, [spread_score(*window) for window in windows(k["close"], n)])


def percent_b(k: Klines, n: int, width: float) -> Series:
    return 0.5 + z_score(k, n) / (2 * width)


def bandwidth(k: Klines, n: int, width: float) -> Series:
    with localcontext(prec=DIGITS):
        found = [
            2 * Decimal(width) * Decimal(n * squares - total * total).sqrt() / Decimal(total)
            for _, total, squares in windows(k["close"], n)
        ]
    return after(n - 1, found)


def volatility(k: Klines, n: int, ddof: int = 1, per_year: float = 1.0) -> Series:
    with localcontext(prec=DIGITS):
        prices = [Decimal(x) for x in k["close"].tolist()]
        logs = [a if a == b else (a / b).ln() for a, b in zip(prices[1:], prices, strict=False)]
        logs = [Decimal(0) if x == y else x for x, y in zip(logs, prices[1:], strict=True)]
        found = []
        for i in range(n, len(logs) + 1):
            part = logs[i - n : i]
            mean = sum(part, Decimal(0)) / n
            variance = sum(((x - mean) ** 2 for x in part), Decimal(0)) / (n - ddof)
            found.append((variance * Decimal(per_year)).sqrt())
    return after(n, found)


def cci(k: Klines, n: int) -> Series:
    typical = (k["high"] + k["low"] + k["close"]) / 3.0
    found = []
    for window, total, _ in windows(typical, n):
        deviations = sum(abs(n * x - total) for x in window)
        distance = n * (n * window[-1] - total)
        # What rounding made of equal prices has not moved.
        moved = deviations * 10**14 > n * total
        found.append(distance / deviations / 0.015 if moved else 0.0)
    return after(n - 1, found)


def mfi(k: Klines, n: int) -> Series:
    typical = (k["high"] + k["low"] + k["close"]) / 3.0
    move = np.diff(typical)
    flow = np.where(
        abs(move) <= 1e-14 * (typical[1:] + typical[:-1]), 0, typical[1:] * k["volume"][1:]
    )
    rise, fall = ratio(np.where(move > 0, flow, 0), np.where(move < 0, flow, 0), n)
    total = rise + fall
    share = np.divide(rise, total, out=np.zeros(len(total)), where=total > 0)
    return after(n, (100 * share).tolist())


def kama(k: Klines, n: int, fast: int, slow: int) -> Series:
    with localcontext(prec=DIGITS):
        x = [Decimal(value) for value in k["close"].tolist()]
        low = Decimal(2) / (slow + 1)
        span = Decimal(2) / (fast + 1) - low
        mean, found = x[n - 1], []
        for i in range(n, len(x)):
            walked = sum(abs(x[j] - x[j - 1]) for j in range(i - n + 1, i + 1))
            efficiency = abs(x[i] - x[i - n]) / walked if walked else Decimal(1)
            mean += (x[i] - mean) * (efficiency * span + low) ** 2
            found.append(mean)
    return after(n, found)


def parabolic_sar(k: Klines, step: float, most: float) -> NDArray[Any]:
    with localcontext(prec=DIGITS):
        # As decimals, because whether a price equals the stop must not hang on rounding.
        high, low = ([Decimal(repr(x)) for x in k[name].tolist()] for name in ("high", "low"))
        first, limit = Decimal(repr(step)), Decimal(repr(most))
        rises = not (low[0] > low[1] and low[0] - low[1] > high[1] - high[0])
        stop, extreme = (low[0], high[1]) if rises else (high[0], low[1])
        pace, found = first, []
        for i in range(1, len(high)):
            # A fall is a rise of what is below zero: (top, bottom) of the last two klines.
            sign = 1 if rises else -1
            last = max(i - 1, 1)
            tops = [sign * (high[j] if rises else low[j]) for j in (last, i)]
            bottoms = [sign * (low[j] if rises else high[j]) for j in (last, i)]
            stop, extreme = sign * stop, sign * extreme
            turned = bottoms[1] <= stop
            if turned:
                stop = max(extreme, *tops)
                found.append((sign * stop, -sign))
                rises, pace, extreme = not rises, first, bottoms[1]
                stop = max(stop + pace * (extreme - stop), *tops)
            else:
                found.append((sign * stop, sign))
                if tops[1] > extreme:
                    extreme, pace = tops[1], min(pace + first, limit)
                stop = min(stop + pace * (extreme - stop), *bottoms)
            stop, extreme = sign * stop, sign * extreme
    return np.vstack([[np.nan, np.nan], np.array(found, dtype=np.float64)])


def keltner(k: Klines, n: int, atr: int, multiplier: float) -> NDArray[Any]:
    middle = talib.EMA((k["high"] + k["low"] + k["close"]) / 3.0, n)
    distance = multiplier * talib.ATR(*hlc(k), atr)
    rows = np.column_stack([middle + distance, middle, middle - distance])
    rows[np.isnan(rows).any(axis=1)] = np.nan
    return rows


def ticks(k: Klines) -> tuple[Series, Series, Series]:
    """Return high, low and close in whole ticks: floats whose differences are exact."""
    for decimals in range(12):
        columns = [k[name] * 10.0**decimals for name in ("high", "low", "close")]
        whole = [np.round(column) for column in columns]
        if all(np.allclose(a, b, rtol=1e-15, atol=0) for a, b in zip(columns, whole, strict=True)):
            return whole[0], whole[1], whole[2]
    raise ValueError("not decimals")


def adx(k: Klines, n: int) -> NDArray[Any]:
    functions = (talib.ADX, talib.PLUS_DI, talib.MINUS_DI)
    rows = np.column_stack([function(*ticks(k), n) for function in functions])
    rows[np.isnan(rows).any(axis=1)] = np.nan
    return rows


def ratio(top: Series, bottom: Series, n: int) -> tuple[Series, Series]:
    """Return the sums of two series over each window, correctly rounded."""
    sums = [
        [fsum(part.tolist()) for part in sliding_window_view(column, n)] for column in (top, bottom)
    ]
    return np.array(sums[0]), np.array(sums[1])


def taker_imbalance(k: Klines, n: int) -> Series:
    bought, total = ratio(k["taker_buy_volume"], k["volume"], n)
    share = np.divide(2 * bought - total, total, out=np.zeros(len(total)), where=total > 0)
    return after(n - 1, share.tolist())


def vwap(k: Klines, n: int) -> Series:
    quote, volume = ratio(k["quote_volume"], k["volume"], n)
    price = np.divide(quote, volume, out=k["close"][n - 1 :].copy(), where=volume > 0)
    return after(n - 1, price.tolist())


def session_vwap(k: Klines, _: int) -> Series:
    (quotes, quote_unit), (volumes, unit) = (
        whole_numbers(k[name]) for name in ("quote_volume", "volume")
    )
    days, found, day, quote, volume = (k["open_us"] // _DAY_US).tolist(), [], -1, 0, 0
    for i, today in enumerate(days):
        if today != day:
            day, quote, volume = today, 0, 0
        quote, volume = quote + quotes[i], volume + volumes[i]
        found.append(quote * unit / (volume * quote_unit) if volume else k["close"][i])
    return np.array(found)


def ichimoku(k: Klines, conversion: int, base: int, span: int, shift: int) -> NDArray[Any]:
    def middle(n: int) -> Series:
        high = sliding_window_view(k["high"], n).max(axis=1)
        low = sliding_window_view(k["low"], n).min(axis=1)
        return after(n - 1, ((high + low) / 2).tolist())

    short, long, slow = middle(conversion), middle(base), middle(span)
    ahead = np.column_stack([(short + long) / 2, slow])
    ahead[: span - 1] = np.nan
    late = np.vstack([np.full((shift, 2), np.nan), ahead[:-shift]])
    rows = np.column_stack([short, long, late, ahead])
    rows[np.isnan(rows).any(axis=1)] = np.nan
    return rows


def stoch_rsi(k: Klines, n: int, stochastic: int, slow: int, d: int) -> NDArray[Any]:
    rsi = talib.RSI(k["close"], n)
    views = sliding_window_view(rsi[n:], stochastic)
    low, reach = views.min(axis=1), np.ptp(views, axis=1)
    # What moved by rounding only has not moved.
    raw = 100 * np.divide(views[:, -1] - low, reach, out=np.zeros(len(low)), where=reach > 1e-9)
    first = sliding_window_view(raw, slow).mean(axis=1)
    second = sliding_window_view(first, d).mean(axis=1)
    rows = np.full((len(rsi), 2), np.nan)
    rows[len(rsi) - len(second) :] = np.column_stack([first[d - 1 :], second])
    return rows
