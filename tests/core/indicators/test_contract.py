"""The contract of indicators, checked for every class in the registry."""

import json
import pickle
import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.indicators.base import Indicator, IndicatorError, Snapshot
from core.indicators.registry import INDICATORS
from core.market.errors import SnapshotError

# One line per class: parameters to make it with, and others.
CASES: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "bollinger": ((5, 2.0), (5, 2.5)),
    "ema": ((5,), (6,)),
    "macd": ((3, 6, 4), (3, 6, 5)),
    "rma": ((5,), (6,)),
    "rsi": ((5,), (6,)),
    "sma": ((5,), (6,)),
}

PRICES = st.one_of(
    st.floats(0.0, 1e6, allow_subnormal=False),
    st.integers(1, 200).map(lambda n: n * 1e-8),
    st.integers(-3, 3).map(lambda n: 60_000 + n * 1e-4),
)
RUNS = st.lists(PRICES, min_size=1, max_size=60)

every = pytest.mark.parametrize("name", sorted(INDICATORS))


def make(name: str) -> Indicator[Any]:
    return INDICATORS[name](*CASES[name][0])


def run(indicator: Indicator[Any], xs: list[float]) -> list[Any]:
    return [indicator.update(x) for x in xs]


def walk(n: int, *, seed: int = 7) -> list[float]:
    dice = np.random.default_rng(seed)
    prices: list[float] = np.round(100 * np.exp(np.cumsum(dice.normal(size=n) * 1e-3)), 3).tolist()
    return prices


def test_every_registered_class_has_a_case() -> None:
    assert sorted(CASES) == sorted(INDICATORS)
    assert all(cls.name == name for name, cls in INDICATORS.items())


@every
def test_it_knows_nothing_before_its_lookback_and_something_from_then_on(name: str) -> None:
    indicator = make(name)
    values = run(indicator, walk(60))
    first = indicator.lookback - 1
    assert values[:first] == [None] * first
    assert None not in values[first:]
    assert indicator.convergence >= indicator.lookback


@every
@given(xs=RUNS)
@settings(max_examples=25, deadline=None)
def test_value_and_previous_are_the_last_two_results(name: str, xs: list[float]) -> None:
    indicator = make(name)
    results = [None, None, *run(indicator, xs)]
    assert [indicator.previous, indicator.value] == results[-2:]


@every
@given(xs=RUNS, forming=st.lists(PRICES, max_size=3))
@settings(max_examples=40, deadline=None)
def test_a_peek_changes_nothing_and_foretells_the_update(
    name: str, xs: list[float], forming: list[float]
) -> None:
    peeked, plain = make(name), make(name)
    for x in xs:
        for y in forming:
            peeked.peek(y)
        expected = plain.update(x)
        assert peeked.peek(x) == expected
        assert peeked.update(x) == expected
        assert peeked.snapshot() == plain.snapshot()


@every
@given(xs=RUNS, cut=st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_a_snapshot_resumes_where_it_was_taken(name: str, xs: list[float], cut: int) -> None:
    straight, first, second = make(name), make(name), make(name)
    expected = run(straight, xs)
    begun = run(first, xs[:cut])
    second.restore(pickle.loads(pickle.dumps(first.snapshot())))
    assert (second.value, second.previous) == (first.value, first.previous)
    assert begun + run(second, xs[cut:]) == expected
    assert second.snapshot() == straight.snapshot()


@every
@given(xs=RUNS)
@settings(max_examples=25, deadline=None)
def test_a_snapshot_is_a_flat_tuple_of_plain_numbers_and_strings(
    name: str, xs: list[float]
) -> None:
    indicator = make(name)
    run(indicator, [np.float64(x) for x in xs])
    taken = indicator.snapshot()
    assert taken[:2] == (name, indicator.version)
    assert {type(x) for x in taken} <= {int, float, str}
    again = make(name)
    again.restore(json.loads(json.dumps(taken)))
    assert again.snapshot() == taken


def _damaged(taken: Snapshot) -> list[Snapshot]:
    return [
        ("other", *taken[1:]),
        (taken[0], 99, *taken[2:]),
        taken[:-1],
        (),
        (*taken, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
        (*taken[:-1], "x"),
    ]


@every
def test_a_snapshot_of_another_class_version_or_shape_is_refused(name: str) -> None:
    indicator = make(name)
    run(indicator, walk(40))
    for damaged in _damaged(indicator.snapshot()):
        fresh = make(name)
        with pytest.raises(SnapshotError):
            fresh.restore(damaged)
        assert fresh.snapshot() == make(name).snapshot()


@every
def test_a_snapshot_of_other_parameters_is_refused(name: str) -> None:
    indicator, other = make(name), INDICATORS[name](*CASES[name][1])
    with pytest.raises(SnapshotError, match=name):
        other.restore(indicator.snapshot())


@every
@given(xs=st.lists(PRICES, max_size=60), cut=st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_bulk_equals_single_updates_bit_for_bit(name: str, xs: list[float], cut: int) -> None:
    single, bulk = make(name), make(name)
    width = len(single.parts)
    expected = [
        [np.nan] * width if value is None and width else np.nan if value is None else value
        for value in run(single, xs)
    ]
    column = np.array(xs, dtype=np.float64)
    got = [bulk.update_many(column[:cut]), bulk.update_many(column[cut:])]
    shape = (len(xs), width) if width else (len(xs),)
    joined = np.concatenate(got)
    assert joined.shape == shape
    assert joined.tobytes() == np.array(expected, dtype=np.float64).reshape(shape).tobytes()
    assert bulk.snapshot() == single.snapshot()


@every
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), 1e100, -1e300])
@pytest.mark.parametrize("seen", [0, 3, 40])
def test_what_is_not_a_usable_number_is_refused_and_changes_nothing(
    name: str, bad: float, seen: int
) -> None:
    indicator = make(name)
    run(indicator, walk(seen))
    before = indicator.snapshot()
    with pytest.raises(
        IndicatorError, match=rf"^indicator `{name}\(.*\)`: `{re.escape(str(bad))}` is not"
    ):
        indicator.update(bad)
    with pytest.raises(IndicatorError, match="not a finite"):
        indicator.peek(bad)
    with pytest.raises(IndicatorError, match=r"\(row 2\)"):
        indicator.update_many(np.array([1.0, 2.0, bad]))
    assert indicator.snapshot() == before


@every
def test_bulk_takes_one_column(name: str) -> None:
    with pytest.raises(IndicatorError, match="one column"):
        make(name).update_many(np.zeros((2, 2)))


@every
@given(xs=RUNS)
@settings(max_examples=10, deadline=None)
def test_a_reset_is_as_good_as_new(name: str, xs: list[float]) -> None:
    indicator = make(name)
    expected = run(indicator, xs)
    indicator.reset()
    assert indicator.snapshot() == make(name).snapshot()
    assert run(indicator, xs) == expected


@every
@pytest.mark.parametrize("start", [0, 17, 333])
def test_after_its_convergence_a_fresh_instance_equals_a_long_running_one(
    name: str, start: int
) -> None:
    long_running, fresh = INDICATORS[name](*CASES[name][0]), make(name)
    xs = walk(1500)
    run(long_running, xs[:700])
    xs = xs[700 - start :]
    fresh_values = run(fresh, xs)[start:]
    ours = np.array(fresh_values[max(0, fresh.convergence - start) :], dtype=np.float64)
    theirs = np.array(run(long_running, xs[start:]), dtype=np.float64)[-len(ours) :]
    exact = fresh.convergence == fresh.lookback
    tolerance = 0.0 if exact else 1e-9
    assert np.abs(ours - theirs).max() <= tolerance


@every
def test_memory_does_not_grow(name: str) -> None:
    indicator = make(name)
    xs = walk(4000)
    run(indicator, xs[:1000])
    size = len(indicator.snapshot())
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for x in xs[1000:]:
        indicator.update(x)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 2000
    assert len(indicator.snapshot()) == size
    assert not hasattr(indicator, "__dict__")
