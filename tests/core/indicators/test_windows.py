"""What windows and extremes say is exact, whatever the numbers."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.indicators.deviation import AbsoluteWindow, RelativeWindow, ScoreWindow
from core.indicators.extremes import Extremes
from core.indicators.pieces import Rolled
from core.indicators.window import SquareWindow, WeightedWindow, Window

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


@given(xs=st.lists(NUMBERS, min_size=1, max_size=40), size=st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_weighted_and_deviating_windows_are_exact_for_any_floats(
    xs: list[float], size: int
) -> None:
    weighted, score = WeightedWindow(size), ScoreWindow(size)
    relative, absolute = RelativeWindow(size), AbsoluteWindow(size)
    held = [Fraction(0)] * size
    for x in xs:
        held = [*held[1:], Fraction(x)]
        mean = sum(held, Fraction(0)) / size
        heavy = sum((n * y for n, y in enumerate(held, 1)), Fraction(0))
        heavy /= size * (size + 1) // 2
        assert (weighted.peek(x), weighted.push(x)) == (float(heavy), float(heavy))
        variance = sum(((y - mean) ** 2 for y in held), Fraction(0)) / size
        squared = float((held[-1] - mean) ** 2 / variance) if variance else 0.0
        assert score.peek(x) == (scored := score.push(x))
        assert scored**2 == pytest.approx(squared, rel=1e-12, abs=1e-300)
        assert scored * float(held[-1] - mean) >= 0
        deviation = sum((abs(y - mean) for y in held), Fraction(0)) / size
        moved = deviation * 10**14 > abs(mean)
        distance = float((held[-1] - mean) / deviation) if moved else 0.0
        assert (absolute.peek(x), absolute.push(x)) == (distance, distance)
        relative.push(x)
    for window in (weighted, score, relative, absolute):
        assert window.numbers() == [float(y) for y in held]


@given(
    xs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=60),
    size=st.integers(1, 8),
)
@settings(max_examples=100, deadline=None)
def test_extremes_are_those_of_the_last_klines(xs: list[tuple[int, int]], size: int) -> None:
    extremes, again = Extremes(size), Extremes(size)
    for n, (low, span) in enumerate(xs):
        window = xs[max(0, n - size + 1) : n + 1]
        highest, lowest = max(a + b for a, b in window), min(a for a, _ in window)
        expected = (highest, lowest) if n + 1 >= size else None
        assert extremes.peek(low + span, low) == expected
        assert extremes.push(low + span, low) == expected
        again.reset()
        again.load(extremes.dump())
        assert again.dump() == extremes.dump()
        assert again.peek(5.0, 5.0) == extremes.peek(5.0, 5.0)
        assert len(extremes.dump()) <= 2 + 4 * size


@pytest.mark.parametrize(
    "damaged", [(2, 1, 0.0, 5.0), (1, 5, 0.0, 5.0), (3, 1, 1.0, 5.0, 0.0, 4.0), (0, 0, 0.0, 1.0)]
)
def test_damaged_extremes_are_refused(damaged: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        Extremes(2).load(damaged)


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


def test_rolled_windows_refuse_damage() -> None:
    for damaged in ((), (1,), (3, 1.0, 2.0, 3.0), (1, 2.0, 3.0)):
        with pytest.raises((ValueError, IndexError)):
            Rolled(Window, 2).load(damaged)
