"""Ranges of ids: whatever the batches, the same rows give the same ranges and holes."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ledger.ids import HeldIds, Span
from core.ledger.silences import Silences
from core.market.trades import Trades


def rows(ids: list[int], *, repaired: bool = False, step_us: int = 1000) -> Trades:
    column = np.array(ids, np.int64)
    ones = np.ones(len(ids), np.int64)
    return Trades(
        "binance:BTCUSDT", 0, 0, column, column * step_us, ones, ones, ones > 0, repaired=repaired
    )


@settings(max_examples=150)
@given(
    ids=st.sets(st.integers(0, 60), min_size=1).map(sorted),
    cuts=st.lists(st.integers(0, 60), max_size=4).map(sorted),
)
def test_holes_and_spans_are_those_of_the_set_however_the_rows_are_cut(
    ids: list[int], cuts: list[int]
) -> None:
    found = HeldIds()
    bounds = [0, *cuts, len(ids)]
    for file, (a, b) in enumerate(pairwise(bounds)):
        found.add(rows(ids[a : max(a, b)]), file)
    seen = sorted({i for a, b in pairwise(bounds) for i in ids[a : max(a, b)]})
    held = found.held()
    assert [i for s in held.spans for i in range(s.first_id, s.last_id + 1)] == seen
    missing = [i for s in held.holes for i in range(s.first_id, s.last_id + 1)]
    assert missing == [i for i in range(seen[0], seen[-1] + 1) if i not in seen]
    assert all(
        s.first_us == s.first_id * 1000 and s.last_us == s.last_id * 1000 for s in held.spans
    )
    assert all((s.first_us, s.last_us) == ((s.first_id - 1) * 1000, (s.last_id + 1) * 1000)
               for s in held.holes)  # fmt: skip
    assert not held.twice


def test_ids_in_two_files_are_named_with_the_files() -> None:
    found = HeldIds()
    found.add(rows([1, 2, 3, 4]), 0)
    found.add(rows([3, 4, 5]), 1)
    (twice,) = found.held().twice
    assert (twice.first_id, twice.last_id, {twice.file, twice.other}) == (3, 4, {0, 1})
    assert found.held().spans == (Span(1, 5, 1000, 5000),)


def test_a_file_that_lies_in_another_ones_hole_fills_it() -> None:
    found = HeldIds()
    found.add(rows([1, 2, 8, 9]), 0)
    found.add(rows([3, 4, 5, 6, 7], repaired=True), 1)
    assert found.held().spans == (Span(1, 9, 1000, 9000),)
    assert not found.held().twice
    assert (found.rows, found.repaired_rows) == (9, 5)
    assert found.repaired == (Span(3, 7, 3000, 7000),)


def test_a_hundred_batches_in_order_are_one_range() -> None:
    found = HeldIds()
    for n in range(100):
        found.add(rows(list(range(n * 10, n * 10 + 10))), 0)
    assert found._runs == [(Span(0, 999, 0, 999_000), 0)]


def test_ids_that_say_nothing_make_no_holes() -> None:
    found = HeldIds(contiguous=False)
    found.add(rows([1, 5, 9]), 0)
    found.add(rows([12, 15]), 0)
    assert found.held().spans == (Span(1, 15, 1000, 15_000),)
    assert found.held().holes == ()


def test_a_silence_is_a_long_time_without_a_hole_in_the_ids() -> None:
    minute = 60_000_000
    quiet = Silences()
    quiet.add(rows([1, 2], step_us=minute))
    batch = rows([3, 4, 6], step_us=minute)
    batch.time_us[1:] += 100 * minute  # before id 4; id 5 is missing before 6
    batch.time_us[2:] += 100 * minute
    quiet.add(batch)
    (found,) = quiet.named(mean_us=minute)
    assert (found.after_id, found.start_us, found.end_us) == (3, 3 * minute, 104 * minute)
    assert len(quiet.named(mean_us=0)) == 3  # all of a minute and more, where that is unusual
