"""RSI reversal on crafted series, and against TA-Lib."""

from collections.abc import Callable

import numpy as np
import pytest
import talib

from core.market.errors import StrategyError
from core.market.kline import Kline
from strategies.base import Strategy
from strategies.rsi_reversal import RsiReversal

MakeKlines = Callable[..., list[Kline]]
Run = Callable[[Strategy, list[Kline]], list[tuple[int, str]]]


def test_long_when_leaving_oversold_and_flat_when_leaving_overbought(
    klines: MakeKlines, said: Run
) -> None:
    # Falls: RSI 0. One rise of 3 after falls of 1 takes it above 30. Rises on, then one fall.
    falls, rises = [100.0 - n for n in range(6)], [98.0, 101.0, 104.0, 107.0]
    closes = [*falls, *rises, 95.0, 94.0]
    strategy = RsiReversal({"period": 2})
    assert said(strategy, klines(closes)) == [(6, "long"), (10, "flat")]


def test_the_reason_has_the_numbers(klines: MakeKlines) -> None:
    strategy = RsiReversal({"period": 2})
    (signal,) = [s for k in klines([3.0, 2.0, 1.0, 2.0]) for s in strategy.feed(k)]
    assert signal.reason == "rsi 50.0 left oversold 30"
    assert signal.values == (("rsi", 50.0),)


def test_a_symbol_that_never_moved_is_not_oversold(klines: MakeKlines, said: Run) -> None:
    assert said(RsiReversal({"period": 2}), klines([5.0] * 10 + [6.0, 7.0])) == []


def test_signals_are_where_talibs_rsi_crosses(
    klines: MakeKlines, said: Run, closes: list[float]
) -> None:
    rsi = talib.RSI(np.array(closes), 14)
    before, now = rsi[:-1], rsi[1:]
    longs = np.flatnonzero((before <= 30) & (now > 30)) + 1
    flats = np.flatnonzero((before >= 70) & (now < 70)) + 1
    expected = sorted([(int(i), "long") for i in longs] + [(int(i), "flat") for i in flats])
    assert said(RsiReversal(), klines(closes)) == expected
    assert len(expected) > 20


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"period": 1}, "parameter `period`: input should be greater than or equal to 2, not `1`"),
        ({"oversold": 50}, "parameter `oversold`: input should be less than 50, not `50`"),
        ({"overbought": float("nan")}, "parameter `overbought`: input should be a finite number"),
    ],
)
def test_impossible_parameters_are_refused_in_words(params: dict[str, float], text: str) -> None:
    with pytest.raises(StrategyError) as caught:
        RsiReversal(params)
    assert str(caught.value).startswith(f"strategy `rsi_reversal`: {text}")
    assert "hint: its parameters: period oversold overbought" in str(caught.value)
