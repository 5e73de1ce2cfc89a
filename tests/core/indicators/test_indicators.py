"""What single indicators promise beyond the contract."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from core.indicators.adx import Adx
from core.indicators.atr import Atr
from core.indicators.base import Indicator, IndicatorError
from core.indicators.bollinger import Bollinger
from core.indicators.cci import Cci
from core.indicators.ema import Ema
from core.indicators.ichimoku import Ichimoku
from core.indicators.kama import Kama
from core.indicators.keltner import Keltner
from core.indicators.macd import Macd
from core.indicators.mfi import Mfi
from core.indicators.obv import Obv
from core.indicators.parabolic_sar import ParabolicSar
from core.indicators.percent_b import PercentB
from core.indicators.rma import Rma
from core.indicators.rsi import Rsi
from core.indicators.session_vwap import SessionVwap
from core.indicators.sma import Sma
from core.indicators.stoch_rsi import StochRsi
from core.indicators.supertrend import SuperTrend
from core.indicators.taker_imbalance import TakerImbalance
from core.indicators.volatility import Volatility
from core.indicators.vwap import Vwap


def test_a_volume_summed_a_hundred_thousand_times_has_not_drifted() -> None:
    obv, exact, last = Obv(), Fraction(0), 0.0
    for n in range(100_000):
        price, volume = 100 + n % 7 * 0.1 - n % 3 * 0.1, 0.1 + n % 11 * 1e-7
        obv.update(price, volume)
        exact += Fraction(volume) * ((price > last) - (price < last))
        last = price
    assert obv.value == float(exact)


def test_crossing_means_from_the_level_or_beyond_it_to_the_other_side() -> None:
    mean = Sma(1)
    crossings = []
    for x in (1.0, 2.0, 3.0, 2.0, 2.0, 1.0, 3.0):
        mean.update(x)
        crossings.append((mean.crossed_above(2), mean.crossed_below(2)))
    no, up, down = (False, False), (True, False), (False, True)
    assert crossings == [no, no, up, no, no, down, up]


def test_an_index_of_nothing_that_moved_is_what_was_chosen() -> None:
    for unmoved in (0.0, 50.0):
        rsi = Rsi(3, unmoved=unmoved)
        assert [rsi.update(7.0) for _ in range(6)] == [None] * 3 + [unmoved] * 3
        assert rsi.peek(7.0) == unmoved


def test_an_index_stays_while_nothing_moves() -> None:
    rsi = Rsi(3)
    for x in (1.0, 2.0, 1.5, 2.5):
        moving = rsi.update(x)
    for _ in range(500):
        still = rsi.update(2.5)
    assert still == pytest.approx(moving, rel=1e-9)


def test_rsi_is_made_of_two_wilder_means() -> None:
    rsi, gains, losses = Rsi(5), Rma(5), Rma(5)
    last = 100.0
    rsi.update(last)
    for n in range(60):
        x = 100 + 3 * math.sin(n * 1.7) + 0.1 * n
        up, down = gains.update(max(x - last, 0.0)), losses.update(max(last - x, 0.0))
        value, last = rsi.update(x), x
        if up is not None and down is not None:
            assert value == pytest.approx(100 * up / (up + down), rel=1e-12)


def test_bands_of_a_constant_lie_on_it() -> None:
    bands = Bollinger(20)
    for _ in range(50):
        value = bands.update(0.1)
    assert value == (0.1, 0.1, 0.1)


def test_an_index_of_the_index_says_nothing_of_a_pause() -> None:
    stoch, rsi = StochRsi(), Rsi(14)
    said = set()
    for n in range(400):
        x = 100 + math.sin(n * 1.7) if n < 100 else 100.7
        stoch.update(x)
        rsi.update(x)
        said.add(stoch.value)
    # Rounding moves the one, and must not be blown up by the other.
    assert stoch.value == (0.0, 0.0)
    assert len(said) > 50


def test_prices_that_are_equal_but_for_rounding_are_no_deviation() -> None:
    cci, mfi = Cci(3), Mfi(3)
    ranges = [(5.7, 5.7), (5.72, 5.68), (5.71, 5.69), (5.76, 5.64)]
    for high, low in ranges:
        cci.update(high, low, 5.7)
        mfi.update(high, low, 5.7, 1.0)
    assert {(high + low + 5.7) / 3 for high, low in ranges} == {5.7, 5.699999999999999}
    assert (cci.value, mfi.value) == (0.0, 0.0)


def test_a_stop_is_reached_by_a_price_that_equals_it_as_a_decimal() -> None:
    # In floats the last stop is 1.9000000000000001, which a high of 1.9 is not at.
    sar = ParabolicSar(0.1, 0.5)
    for high, low in ((1.8, 1.2), (2.1, 1.8), (1.3, 1.2), (1.5, 1.1), (1.9, 1.6)):
        value = sar.update(high, low)
    assert value == (1.1, 1.0)


def test_moves_that_are_equal_as_decimals_are_no_direction() -> None:
    assert 1.7 - 1.6 != 1.5 - 1.4
    adx, sar = Adx(2), ParabolicSar()
    for _ in range(2):
        for high, low in ((1.6, 1.5), (1.7, 1.4)):
            adx.update(high, low, 1.55)
            if sar.value is None:
                sar.update(high, low)
    assert sar.value is not None
    # Neither way: so the first trend is taken as upward, and the low at once reaches the stop.
    assert sar.value == (1.7, -1.0)
    assert adx.value == (0.0, 0.0, 0.0)


def test_a_day_of_utc_begins_anew_and_a_late_peek_knows_it() -> None:
    day = 86_400_000_000
    vwap = SessionVwap()
    vwap.update(5 * day - 1, 4.0, 8.0, 2.0)
    assert vwap.peek(5 * day, 9.0, 0.0, 0.0) == 9.0
    assert vwap.peek(5 * day, 9.0, 30.0, 3.0) == 10.0
    assert vwap.peek(5 * day - 1, 9.0, 30.0, 3.0) == 7.6
    assert [vwap.update(5 * day, 9.0, 0.0, 0.0), vwap.update(6 * day - 1, 3.0, 9.0, 2.0)] == [
        9.0,
        4.5,
    ]


def test_where_nothing_was_traded_the_price_is_the_close_and_nobody_pressed() -> None:
    vwap, imbalance = Vwap(2), TakerImbalance(2)
    for _ in range(3):
        assert vwap.update(7.0, 0.0, 0.0) in (None, 7.0)
        imbalance.update(0.0, 0.0)
    assert (vwap.value, imbalance.value) == (7.0, 0.0)
    assert imbalance.peek(3.0, 3.0) == 1.0


def test_a_price_without_a_logarithm_is_refused() -> None:
    volatility = Volatility(2)
    for bad in (0.0, -1.0):
        with pytest.raises(IndicatorError, match=f"`{bad}` is not a finite number"):
            volatility.update(bad)
    assert volatility.snapshot() == Volatility(2).snapshot()


def test_returns_of_any_size_have_a_volatility() -> None:
    volatility = Volatility(2, ddof=0)
    for x in (1e-300, 1e99, 1e-300):
        volatility.update(x)
    assert volatility.value == pytest.approx(math.log(1e99) - math.log(1e-300))


def test_the_trend_turns_where_the_close_is_beyond_the_line() -> None:
    trend, atr = SuperTrend(3, 1.0), Atr(3)
    turned = 0
    for n in range(200):
        close = 100 + 5 * math.sin(n / 9)
        before = trend.value
        value = trend.update(close + 0.5, close - 0.5, close)
        atr.update(close + 0.5, close - 0.5, close)
        if before is not None and value is not None and value.trend != before.trend:
            turned += 1
            assert (close > value.line) == (value.trend > 0)
            assert abs(value.line - close) == pytest.approx(atr.value)
    assert turned > 4


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Adx(1), "indicator `adx`: period must be a whole number of at least 2, not `1`"),
        (lambda: Kama(10, 30, 2), "indicator `kama`: fast `30` must be less than slow `2`"),
        (lambda: Ichimoku(26, 9), "conversion `26`, base `9` and span `52` must not fall"),
        (lambda: Keltner(multiplier=0.0), "multiplier must be more than 0, not `0.0`"),
        (lambda: SuperTrend(10, float("inf")), "multiplier must be more than 0, not `inf`"),
        (lambda: ParabolicSar(0.3, 0.2), "most `0.2` must be from step `0.3` to 1"),
        (lambda: PercentB(1), "indicator `percent_b`: period must be a whole number of at least 2"),
        (lambda: Volatility(2, 2), "ddof `2` must be less than period `2`"),
        (lambda: Volatility(2, -1), "ddof must be a whole number of at least 0, not `-1`"),
        (lambda: Sma(0), "indicator `sma`: period must be a whole number of at least 1, not `0`"),
        (lambda: Ema(True), "indicator `ema`: period must be a whole number of at least 1"),
        (
            lambda: Rma(2.5),  # type: ignore[arg-type]  # the point of the test
            "indicator `rma`: period must be a whole number of at least 1",
        ),
        (lambda: Rsi(1), "indicator `rsi`: period must be a whole number of at least 2, not `1`"),
        (lambda: Rsi(2, unmoved=101), "indicator `rsi`: unmoved must be from 0 to 100, not `101`"),
        (lambda: Macd(26, 12, 9), "indicator `macd`: fast `26` must be less than slow `12`"),
        (lambda: Bollinger(20, 0.0), "indicator `bollinger`: width must be more than 0, not `0.0`"),
        (lambda: Bollinger(20, float("nan")), "width must be more than 0, not `nan`"),
    ],
)
def test_impossible_parameters_are_refused_in_words(make: Callable[[], object], text: str) -> None:
    with pytest.raises(IndicatorError) as caught:
        make()
    assert text in str(caught.value)


def test_an_indicator_shows_its_parameters() -> None:
    shown: list[Indicator[Any]] = [Macd(), Bollinger(), Sma(3)]
    assert list(map(repr, shown)) == ["macd(12, 26, 9)", "bollinger(20, 2.0)", "sma(3)"]
