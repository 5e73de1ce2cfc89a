"""Bollinger breakout on crafted series, and against TA-Lib."""

from collections.abc import Callable

import numpy as np
import talib

from core.market.kline import Kline
from strategies.base import Strategy
from strategies.bollinger_breakout import BollingerBreakout

MakeKlines = Callable[..., list[Kline]]
Run = Callable[[Strategy, list[Kline]], list[tuple[int, str]]]
QUIET = [10.0, 10.1, 10.0, 9.9] * 2


def test_long_outside_the_upper_band_and_flat_back_inside(klines: MakeKlines, said: Run) -> None:
    closes = [*QUIET, 12.0, 12.0, 12.0, 12.0]
    strategy = BollingerBreakout({"period": 5, "width": 1.5})
    assert said(strategy, klines(closes)) == [(8, "long"), (9, "flat")]


def test_below_the_lower_band_it_is_short_only_when_asked(klines: MakeKlines, said: Run) -> None:
    closes = [*QUIET, 8.0, 14.0, 10.0]
    params = {"period": 5, "width": 1.5}
    assert said(BollingerBreakout(params), klines(closes)) == [(9, "long"), (10, "flat")]
    both = BollingerBreakout({**params, "short": True})
    assert said(both, klines(closes)) == [(8, "short"), (9, "long"), (10, "flat")]


def test_the_reason_has_the_numbers(klines: MakeKlines) -> None:
    strategy = BollingerBreakout({"period": 2, "width": 0.5})
    (signal,) = [s for k in klines([10.0, 10.0, 12.0]) for s in strategy.feed(k)]
    assert signal.reason == "close 12 broke out above 11.5"
    assert signal.values == (("upper", 11.5), ("middle", 11.0), ("lower", 10.5))


def test_nothing_is_said_of_a_constant_price(klines: MakeKlines, said: Run) -> None:
    assert said(BollingerBreakout({"short": True}), klines([0.1] * 100)) == []


def test_signals_are_where_the_close_leaves_talibs_bands(
    klines: MakeKlines, said: Run, closes: list[float]
) -> None:
    prices = np.array(closes)
    upper, _, lower = talib.BBANDS(prices, 20, 2.0, 2.0)
    # A close that lies on a band to rounding is decided by the last bit: none here.
    assert np.nanmin(np.abs(prices - upper) / prices) > 1e-12
    sides = [
        "long" if close > high else "short" if close < low else "flat"
        for close, high, low in zip(prices, upper, lower, strict=True)
    ]
    expected = [(i, sides[i]) for i in range(20, len(sides)) if sides[i] != sides[i - 1]]
    assert said(BollingerBreakout({"short": True}), klines(closes)) == expected
    assert len(expected) > 200
