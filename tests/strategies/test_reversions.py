"""Bollinger and VWAP reversion on crafted series, and against another reading of the rule."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import talib

from core.market.kline import Kline
from strategies.base import Strategy
from strategies.bollinger_reversion import BollingerReversion
from strategies.vwap_reversion import VwapReversion

MakeKlines = Callable[..., list[Kline]]
Run = Callable[[Strategy, list[Kline]], list[tuple[int, str]]]
QUIET = [10.0, 10.1, 10.0, 9.9] * 2


def by_the_rule(
    closes: Sequence[float],
    levels: Sequence[tuple[float, float, float]],
    first: int,
    *,
    short: bool = True,
) -> list[tuple[int, str]]:
    """The rule once more, in words of its own: what was true at the last close, and is now."""
    found = []
    for i in range(first + 1, len(closes)):
        (low0, mid0, up0), (low, mid, up) = levels[i - 1], levels[i]
        was, now = closes[i - 1], closes[i]
        if was < low0 and low <= now < mid:
            found.append((i, "long"))
        elif was < mid0 and was <= up0 and now >= mid:
            found.append((i, "flat"))
        elif short and was > up0 and mid <= now <= up:
            found.append((i, "short"))
        elif short and was >= mid0 and now < mid:
            found.append((i, "flat"))
    return found


def test_long_when_it_comes_back_and_flat_in_the_middle(klines: MakeKlines, said: Run) -> None:
    closes = [*QUIET, 9.0, 8.9, 9.2, 9.4, 9.9]
    strategy = BollingerReversion({"period": 5, "width": 1.0})
    # 9.0 and 8.9 lie below the band; 9.2 is back above it, 9.4 above the middle.
    assert said(strategy, klines(closes)) == [(10, "long"), (11, "flat")]


def test_above_the_upper_band_it_is_short_only_when_asked(klines: MakeKlines, said: Run) -> None:
    closes = [*QUIET, 11.0, 11.1, 10.8, 10.6, 10.1]
    params = {"period": 5, "width": 1.0}
    shorts = [s for s in said(BollingerReversion(params), klines(closes)) if s[1] == "short"]
    assert shorts == []
    both = said(BollingerReversion({**params, "short": True}), klines(closes))
    assert both[-2:] == [(10, "short"), (11, "flat")]


@pytest.mark.parametrize("short", [True, False])
def test_signals_are_where_the_close_meets_talibs_bands(
    klines: MakeKlines, said: Run, closes: list[float], short: bool
) -> None:
    prices = np.array(closes)
    upper, middle, lower = talib.BBANDS(prices, 20, 2.0, 2.0)
    levels = list(zip(lower.tolist(), middle.tolist(), upper.tolist(), strict=True))
    expected = by_the_rule(closes, levels, 19, short=short)
    found = said(BollingerReversion({"short": short}), klines(closes))
    # A close that lies on a band to rounding is decided by the last bit.
    close_calls = {
        i + d
        for d in (0, 1)
        for i in np.flatnonzero(
            np.minimum.reduce([np.abs(prices - x) / prices for x in (lower, middle, upper)]) < 1e-12
        ).tolist()
    }
    assert [s for s in found if s[0] not in close_calls] == [
        s for s in expected if s[0] not in close_calls
    ]
    assert len(expected) > 100
    assert len(close_calls) < len(closes) / 100


@pytest.mark.parametrize("short", [True, False])
def test_signals_are_where_the_close_is_far_from_the_exact_average_price(
    klines: MakeKlines, said: Run, closes: list[float], short: bool
) -> None:
    rows, period, far = klines(closes), 60, 0.002
    quote, volume = [k.quote_volume for k in rows], [k.volume for k in rows]
    levels = [(0.0, 0.0, 0.0)] * (period - 1)
    for end in range(period, len(rows) + 1):
        vwap = sum(quote[end - period : end]) / sum(volume[end - period : end])
        levels.append((vwap * (1 - far), vwap, vwap * (1 + far)))
    params = {"period": period, "distance": 100 * far, "short": short}
    expected = by_the_rule(closes, levels, period - 1, short=short)
    assert said(VwapReversion(params), rows) == expected
    assert len(expected) > 30


def test_the_reason_has_the_numbers(klines: MakeKlines) -> None:
    strategy = VwapReversion({"period": 2, "distance": 1.0})
    fed = klines([100.0, 90.0, 89.5])
    (signal,) = [s for k in fed for s in strategy.feed(k)]
    levels = dict(signal.values)
    vwap = (fed[1].quote_volume + fed[2].quote_volume) / (fed[1].volume + fed[2].volume)
    assert levels["middle"] == pytest.approx(vwap)
    assert signal.reason == f"close 89.5 is back above {vwap * 0.99:.8g}"
    assert levels["lower"] == pytest.approx(vwap * 0.99)


@pytest.mark.parametrize("kind", [BollingerReversion, VwapReversion])
def test_nothing_is_said_of_a_constant_price(
    kind: type[Strategy], klines: MakeKlines, said: Run
) -> None:
    assert said(kind({"short": True}), klines([0.1] * 200)) == []
