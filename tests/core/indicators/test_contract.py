"""The contract of indicators, checked for every class in the registry."""

import json
import pickle
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.indicators.base import IndicatorError, Snapshot
from core.indicators.registry import INDICATORS
from core.market.errors import SnapshotError
from tests.core.indicators.cases import CASES, KLINES, RUNS, bulk, make, rows, run, walk

every = pytest.mark.parametrize("name", sorted(INDICATORS))


def test_every_registered_class_has_a_case() -> None:
    assert sorted(CASES) == sorted(INDICATORS)
    assert all(cls.name == name for name, cls in INDICATORS.items())


@every
def test_it_knows_nothing_before_its_lookback_and_something_from_then_on(name: str) -> None:
    indicator = make(name)
    values = run(indicator, walk(name, 60))
    first = indicator.lookback - 1
    assert values[:first] == [None] * first
    assert None not in values[first:]
    assert indicator.convergence >= indicator.lookback


@every
@given(drawn=RUNS)
@settings(max_examples=8, deadline=None)
def test_value_and_previous_are_the_last_two_results(
    name: str, drawn: list[dict[str, float]]
) -> None:
    indicator = make(name)
    results = [None, None, *run(indicator, rows(name, drawn))]
    assert [indicator.previous, indicator.value] == results[-2:]


@every
@given(drawn=RUNS, forming=st.lists(KLINES, max_size=3))
@settings(max_examples=12, deadline=None)
def test_a_peek_changes_nothing_and_foretells_the_update(
    name: str, drawn: list[dict[str, float]], forming: list[dict[str, float]]
) -> None:
    peeked, plain = make(name), make(name)
    for n, row in enumerate(rows(name, drawn)):
        for other in rows(name, forming, first=n):
            peeked.peek(*other)
        expected = plain.update(*row)
        assert peeked.peek(*row) == expected
        assert peeked.update(*row) == expected
        assert peeked.snapshot() == plain.snapshot()


@every
@given(drawn=RUNS, cut=st.integers(0, 40))
@settings(max_examples=12, deadline=None)
def test_a_snapshot_resumes_where_it_was_taken(
    name: str, drawn: list[dict[str, float]], cut: int
) -> None:
    straight, first, second = make(name), make(name), make(name)
    taken = rows(name, drawn)
    expected = run(straight, taken)
    begun = run(first, taken[:cut])
    second.restore(pickle.loads(pickle.dumps(first.snapshot())))
    assert (second.value, second.previous) == (first.value, first.previous)
    assert begun + run(second, taken[cut:]) == expected
    assert second.snapshot() == straight.snapshot()


@every
@given(drawn=RUNS)
@settings(max_examples=8, deadline=None)
def test_a_snapshot_is_a_flat_tuple_of_plain_numbers_and_strings(
    name: str, drawn: list[dict[str, float]]
) -> None:
    indicator = make(name)
    run(indicator, [tuple(map(np.float64, row)) for row in rows(name, drawn)])
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
    run(indicator, walk(name, 40))
    for damaged in _damaged(indicator.snapshot()):
        fresh = make(name)
        with pytest.raises(SnapshotError):
            fresh.restore(damaged)
        assert fresh.snapshot() == make(name).snapshot()


@every
def test_a_snapshot_of_other_parameters_is_refused(name: str) -> None:
    indicator, other = make(name), INDICATORS[name](*CASES[name][1])
    if not indicator.parameters:
        pytest.skip("has none")
    with pytest.raises(SnapshotError, match=name):
        other.restore(indicator.snapshot())


@every
@given(drawn=st.lists(KLINES, max_size=40), cut=st.integers(0, 40))
@settings(max_examples=12, deadline=None)
def test_bulk_equals_single_updates_bit_for_bit(
    name: str, drawn: list[dict[str, float]], cut: int
) -> None:
    single, many = make(name), make(name)
    taken = rows(name, drawn)
    width = len(single.parts)
    expected = [
        [np.nan] * width if value is None and width else np.nan if value is None else value
        for value in run(single, taken)
    ]
    table = bulk(taken, name)
    got = [many.update_many(table[:cut]), many.update_many(table[cut:])]
    shape = (len(taken), width) if width else (len(taken),)
    joined = np.concatenate(got)
    assert joined.shape == shape
    assert joined.tobytes() == np.array(expected, dtype=np.float64).reshape(shape).tobytes()
    assert many.snapshot() == single.snapshot()


@every
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), 1e100, -1e300])
@pytest.mark.parametrize("seen", [0, 3, 40])
def test_what_is_not_a_usable_number_is_refused_and_changes_nothing(
    name: str, bad: float, seen: int
) -> None:
    indicator = make(name)
    taken = walk(name, seen + 3)
    run(indicator, taken[:seen])
    before = indicator.snapshot()
    for n in range(len(taken[0])):
        row = (*taken[-1][:n], bad, *taken[-1][n + 1 :])
        named = rf"^indicator `{name}(\(.*\))?`: .*`{re.escape(str(bad))}`.* (is|are|not) "
        with pytest.raises(IndicatorError, match=named):
            indicator.update(*row)
        with pytest.raises(IndicatorError, match=r"not a finite|not of one kline"):
            indicator.peek(*row)
        with pytest.raises(IndicatorError, match=r"\(row 2\)"):
            indicator.update_many(bulk([*taken[seen : seen + 2], row], name))
        assert indicator.snapshot() == before


@every
def test_klines_that_contradict_themselves_are_refused_and_change_nothing(name: str) -> None:
    indicator = make(name)
    taken = walk(name, 30)
    run(indicator, taken)
    before, good = indicator.snapshot(), dict(zip(indicator.inputs, taken[-1], strict=False))
    bad = [{field: -1.0} for field in indicator.inputs]
    if {"high", "low"} <= set(good):
        bad += [{"high": 1.0, "low": 2.0, "close": 1.5}]
    if {"high", "low", "close"} <= set(good):
        bad += [{"close": good["high"] + 1}, {"close": good["low"] / 2}]
    if "taker_buy_volume" in good:
        bad += [{"taker_buy_volume": good["volume"] + 1}]
    for change in bad:
        row = tuple({**good, **change}[field] for field in indicator.inputs)
        with pytest.raises(IndicatorError, match="not of one kline, where low <= close <= high"):
            indicator.update(*row)
        with pytest.raises(IndicatorError, match="not of one kline"):
            indicator.peek(*row)
        assert indicator.snapshot() == before


@every
def test_a_market_that_stands_still_is_fine(name: str) -> None:
    still = dict.fromkeys(("volume", "quote_volume", "taker_buy_volume"), 0.0)
    flat = {"high": 7.0, "low": 7.0, "close": 7.0, **still}
    moved = {"high": 8.0, "low": 6.0, "close": 7.5, **still, "volume": 2.0, "quote_volume": 15.0}
    for drawn in ([flat] * 300, [*[flat] * 40, moved, *[flat] * 3000]):
        indicator = make(name)
        said = [value for value in run(indicator, rows(name, drawn)) if value is not None]
        parts = [part for value in said for part in (value if indicator.parts else (value,))]
        assert said
        assert np.isfinite(parts).all()


@every
def test_bulk_takes_a_column_for_each_input(name: str) -> None:
    width = len(INDICATORS[name].inputs)
    text = f"expected columns {', '.join(INDICATORS[name].inputs)}" if width else "one column"
    for shape in ((3, width + 1), (2, 2, 2)):
        with pytest.raises(IndicatorError, match=text):
            make(name).update_many(np.zeros(shape))


@every
@given(drawn=RUNS)
@settings(max_examples=6, deadline=None)
def test_a_reset_is_as_good_as_new(name: str, drawn: list[dict[str, float]]) -> None:
    indicator = make(name)
    taken = rows(name, drawn)
    expected = run(indicator, taken)
    indicator.reset()
    assert indicator.snapshot() == make(name).snapshot()
    assert run(indicator, taken) == expected


@every
@pytest.mark.parametrize("start", [0, 17, 333])
def test_after_its_convergence_a_fresh_instance_equals_a_long_running_one(
    name: str, start: int
) -> None:
    long_running, fresh = INDICATORS[name](*CASES[name][0]), make(name)
    xs = walk(name, 2500)
    run(long_running, xs[:700])
    xs = xs[700 - start :]
    fresh_values = run(fresh, xs)[start:]
    ours = np.array(fresh_values[max(0, fresh.convergence - start) :], dtype=np.float64)
    theirs = np.array(run(long_running, xs[start:]), dtype=np.float64)[-len(ours) :]
    exact = fresh.convergence == fresh.lookback
    tolerance = 0.0 if exact else 1e-9
    if name == "obv":
        # Its level says where it began; what happens after does not.
        ours, theirs = np.diff(ours), np.diff(theirs)
        tolerance = 1e-9 * float(np.abs(theirs).max())
    assert len(ours)
    assert np.abs(ours - theirs).max() <= tolerance


@every
def test_memory_does_not_grow(name: str) -> None:
    indicator = make(name)
    xs = walk(name, 4000)
    run(indicator, xs[:1000])
    # Pieces keep a few numbers for each of the last `lookback`.
    assert len(indicator.snapshot()) <= 40 + 6 * indicator.lookback
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for row in xs[1000:]:
        indicator.update(*row)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 8000  # a float kept of each update would take 72,000
    assert len(indicator.snapshot()) <= 40 + 6 * indicator.lookback
    assert not hasattr(indicator, "__dict__")
