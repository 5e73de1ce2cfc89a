"""EMA cross, Donchian breakout and SuperTrend on crafted series, and against other formulas."""

from collections.abc import Callable

import numpy as np
import pytest
import talib

from core.market.errors import StrategyError
from core.market.kline import Kline
from strategies.base import Strategy
from strategies.donchian_breakout import DonchianBreakout
from strategies.ema_cross import EmaCross
from strategies.supertrend import Supertrend

MakeKlines = Callable[..., list[Kline]]
Run = Callable[[Strategy, list[Kline]], list[tuple[int, str]]]


def test_long_and_flat_or_short_where_the_means_cross(klines: MakeKlines, said: Run) -> None:
    closes = [10.0, 10.0, 10.0, 10.0, 12.0, 13.0, 8.0, 7.0]
    params = {"fast": 2, "slow": 4}
    assert said(EmaCross(params), klines(closes)) == [(4, "long"), (6, "flat")]
    assert said(EmaCross({**params, "short": True}), klines(closes))[-1] == (6, "short")


def test_signals_are_where_talibs_means_cross(
    klines: MakeKlines, said: Run, closes: list[float]
) -> None:
    prices = np.array(closes)
    above = np.sign(talib.EMA(prices, 9) - talib.EMA(prices, 21))
    assert not (np.abs(talib.EMA(prices, 9) - talib.EMA(prices, 21)) < 1e-12).any()
    expected = [
        (i, "long" if above[i] > 0 else "short")
        for i in range(21, len(closes))
        if above[i] != above[i - 1]
    ]
    assert said(EmaCross({"short": True}), klines(closes)) == expected
    assert len(expected) > 100


def test_means_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(StrategyError, match="fast `30` must be less than slow `21`"):
        EmaCross({"fast": 30})


def test_a_breakout_is_said_when_it_begins_and_a_low_ends_it(klines: MakeKlines, said: Run) -> None:
    closes = [10.0, 11.0, 10.0, 11.0, 12.0, 13.0, 12.5, 13.5, 12.0, 11.0, 10.0]
    strategy = DonchianBreakout({"entry": 3, "exit": 2})
    # 12 and 13 are above the three highs before, 12.5 pauses, 13.5 breaks out again.
    assert said(strategy, klines(closes)) == [(4, "long"), (7, "long"), (8, "flat")]


@pytest.mark.parametrize("short", [True, False])
def test_breakouts_are_where_the_close_leaves_talibs_extremes(
    klines: MakeKlines, said: Run, closes: list[float], short: bool
) -> None:
    rows = klines(closes)
    high, low = (np.array([getattr(k, name) for k in rows]) for name in ("high", "low"))
    top, bottom = talib.MAX(high, 20), talib.MIN(low, 20)
    leave = talib.MIN(low, 10)
    expected, before = [], ""
    for i in range(20, len(rows)):
        if closes[i] > top[i - 1]:
            now = "long"
        elif short:
            now = "short" if closes[i] < bottom[i - 1] else "none"
        else:
            now = "flat" if closes[i] < leave[i - 1] else "none"
        if now not in (before, "none") and before:
            expected.append((i, now))
        before = now
    assert said(DonchianBreakout({"short": short}), rows) == expected
    assert len(expected) > 50


def test_nobody_breaks_out_of_a_constant_price(klines: MakeKlines, said: Run) -> None:
    assert said(DonchianBreakout({"short": True}), klines([0.1] * 100)) == []
    assert said(EmaCross({"short": True}), klines([0.1] * 100)) == []
    assert said(Supertrend({"short": True}), klines([0.1] * 100)) == []


def test_the_trend_turns_where_the_close_crosses_the_stop(
    klines: MakeKlines, said: Run, closes: list[float]
) -> None:
    rows = klines(closes)
    high, low = (np.array([getattr(k, name) for k in rows]) for name in ("high", "low"))
    prices = np.array(closes)
    ranges, middle = talib.ATR(high, low, prices, 10), (high + low) / 2
    upper, lower, trend, expected = 0.0, 0.0, 1, []
    for i in range(10, len(rows)):
        up, down = middle[i] + 3 * ranges[i], middle[i] - 3 * ranges[i]
        if i > 10:
            up = up if up < upper or prices[i - 1] > upper else upper
            down = down if down > lower or prices[i - 1] < lower else lower
            turned = -1 if trend > 0 and prices[i] < down else trend
            turned = 1 if trend < 0 and prices[i] > up else turned
            if turned != trend:
                expected.append((i, "long" if turned > 0 else "flat"))
            trend = turned
        upper, lower = up, down
    assert said(Supertrend(), rows) == expected
    assert len(expected) > 50
