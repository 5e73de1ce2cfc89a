"""What single indicators promise beyond the contract."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.indicators.base import Indicator, IndicatorError
from core.indicators.bollinger import Bollinger
from core.indicators.ema import Ema
from core.indicators.macd import Macd
from core.indicators.rma import Rma
from core.indicators.rsi import Rsi
from core.indicators.sma import Sma
from core.indicators.window import SquareWindow, Window

NUMBERS = st.one_of(
    st.floats(-1e99, 1e99),
    st.integers(-5, 5).map(lambda n: 60_000 + n * 1e-4),
    st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 0.1, 1e99]),
)


@given(xs=st.lists(NUMBERS, min_size=1, max_size=40), size=st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_a_window_gives_the_correctly_rounded_mean_and_variance_of_any_floats(
    xs: list[float], size: int
) -> None:
    window, squares = Window(size), SquareWindow(size)
    held = [Fraction(0)] * size
    for x in xs:
        held = [*held[1:], Fraction(x)]
        mean = sum(held) / size
        variance = sum((y - mean) ** 2 for y in held) / size
        expected = (float(mean), float(variance))
        assert (window.peek(x), squares.peek_both(x)) == (expected[0], expected)
        assert (window.push(x), squares.push_both(x)) == (expected[0], expected)
    assert window.numbers() == squares.numbers() == [float(y) for y in held]


def test_a_window_forgets_a_jump_entirely() -> None:
    window = SquareWindow(3)
    for x in (1e99, -1e99, 1e-300, 0.1, 0.2, 0.3):
        after_jump = window.push_both(x)
    fresh = SquareWindow(3)
    assert [fresh.push_both(x) for x in (0.1, 0.2, 0.3)][-1] == after_jump


def test_the_textbook_variance_fails_where_ours_does_not() -> None:
    xs = [60_000 + n * 1e-4 for n in (0, 1, -1, 1, 0, -1, 0, 1, 1, -1)]
    textbook = sum(x * x for x in xs) / 10 - (sum(xs) / 10) ** 2
    mean = sum(map(Fraction, xs)) / 10
    exact = sum((Fraction(x) - mean) ** 2 for x in xs) / 10
    window = SquareWindow(10)
    ours = [window.push_both(x)[1] for x in xs][-1]
    assert ours == float(exact)
    assert abs(textbook - float(exact)) > 0.1 * float(exact)


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


@pytest.mark.parametrize(
    ("make", "text"),
    [
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
