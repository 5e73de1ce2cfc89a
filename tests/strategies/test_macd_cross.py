"""MACD cross on crafted series, and against TA-Lib."""

from collections.abc import Callable

import numpy as np
import pytest
import talib

from core.market.errors import StrategyError
from core.market.kline import Kline
from strategies.base import Strategy
from strategies.macd_cross import MacdCross

MakeKlines = Callable[..., list[Kline]]
Run = Callable[[Strategy, list[Kline]], list[tuple[int, str]]]
SMALL = {"fast": 2, "slow": 4, "signal": 2}


def test_long_where_the_line_crosses_above_and_flat_where_below(
    klines: MakeKlines, said: Run
) -> None:
    closes = [10.0] * 8 + [11.0, 12.0, 13.0, 9.0, 8.0, 7.0, 12.0]
    assert said(MacdCross(SMALL), klines(closes)) == [(8, "long"), (11, "flat"), (14, "long")]
    shorting = MacdCross({**SMALL, "short": True})
    assert said(shorting, klines(closes)) == [(8, "long"), (11, "short"), (14, "long")]


def test_the_reason_has_the_numbers(klines: MakeKlines) -> None:
    strategy = MacdCross(SMALL)
    (signal,) = [s for k in klines([10.0] * 6 + [13.0]) for s in strategy.feed(k)]
    assert signal.reason == "macd 0.8 crossed above signal 0.533333"
    assert [name for name, _ in signal.values] == ["line", "signal", "histogram"]
    assert [x for _, x in signal.values] == pytest.approx([0.8, 0.8 * 2 / 3, 0.8 / 3])


def test_nothing_is_said_of_a_constant_price(klines: MakeKlines, said: Run) -> None:
    assert said(MacdCross(), klines([7.0] * 100)) == []


def test_signals_are_where_talibs_histogram_changes_its_sign(
    klines: MakeKlines, said: Run, closes: list[float]
) -> None:
    _, _, histogram = talib.MACD(np.array(closes))
    before, now = histogram[:-1], histogram[1:]
    longs = np.flatnonzero((before <= 0) & (now > 0)) + 1
    flats = np.flatnonzero((before >= 0) & (now < 0)) + 1
    expected = sorted([(int(i), "long") for i in longs] + [(int(i), "flat") for i in flats])
    assert said(MacdCross(), klines(closes)) == expected
    assert len(expected) > 100


def test_a_fast_mean_that_is_not_faster_is_refused() -> None:
    with pytest.raises(StrategyError) as caught:
        MacdCross({"fast": 26})
    assert str(caught.value) == (
        "strategy `macd_cross`: fast `26` must be less than slow `26`\n"
        "hint: its parameters: fast slow signal short"
    )
