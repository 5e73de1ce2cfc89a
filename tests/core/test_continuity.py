"""Ids in order, each once, holes named: for any input, however it is cut."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.continuity import Continuity
from core.market.errors import SnapshotError
from core.market.events import Gap, Quarantined
from core.market.trades import Trades

KEY = "binance:BTCUSDT"


def batch(numbers: Sequence[int]) -> Trades:
    ids = np.array(numbers, np.int64)
    return Trades(
        KEY, 2, 5, ids, ids * 1000, np.full(len(ids), 5, np.int64),
        np.full(len(ids), 7, np.int64), np.zeros(len(ids), np.bool_),
    )  # fmt: skip


def said(items: Iterable[object]) -> list[int | tuple[int, int]]:
    out = []
    for item in items:
        if isinstance(item, Trades):
            out += item.id.tolist()
        elif isinstance(item, Gap):
            out.append((item.first_id, item.last_id))
    return out


def test_contiguous_batches_pass_as_they_are() -> None:
    books = Continuity(KEY)
    first, second = batch([5, 6]), batch([7, 8, 9])
    assert books.on_trades(first)[0] is first
    assert books.on_trades(second)[0] is second
    assert (books.accepted, books.duplicates, books.rejected) == (5, 0, 0)


def test_repeated_skipped_and_unsorted_ids_are_put_right() -> None:
    books = Continuity(KEY)
    assert said(books.on_trades(batch([3, 1, 2, 2, 7, 6]))) == [1, 2, 3, (4, 5), 6, 7]
    assert said(books.on_trades(batch([6, 7, 8]))) == [8]
    assert books.duplicates == 3


def test_a_row_behind_its_gap_is_refused_in_words() -> None:
    books = Continuity(KEY)
    books.on_trades(batch([1, 2, 5]))
    (bad,) = books.on_trades(batch([4]))
    assert isinstance(bad, Quarantined)
    assert "after the gap" in bad.reason
    assert (books.accepted, books.duplicates, books.rejected) == (3, 0, 1)


def test_a_gap_named_by_the_source_is_not_named_twice() -> None:
    books = Continuity(KEY)
    books.on_trades(batch([1, 2]))
    gap = Gap(KEY, 0, 0, 3, 9, "gone")
    assert books.on_gap(gap) is gap
    assert said(books.on_trades(batch([10]))) == [10]


def test_where_ids_have_holes_of_their_own_none_is_named() -> None:
    books = Continuity(KEY, contiguous=False)
    assert said(books.on_trades(batch([1, 5, 5, 9]))) == [1, 5, 9]
    assert said(books.on_trades(batch([9, 12]))) == [12]
    assert books.duplicates == 2


@given(st.lists(st.lists(st.integers(0, 60), max_size=12), max_size=8))
def test_ids_rise_and_the_books_balance(batches: list[list[int]]) -> None:
    books = Continuity(KEY)
    out = [item for ids in batches for item in books.on_trades(batch(ids))]
    ids = [i for item in out if isinstance(item, Trades) for i in item.id.tolist()]
    assert ids == sorted(set(ids))
    holes = [i for g in out if isinstance(g, Gap) for i in range(g.first_id, g.last_id + 1)]
    if ids:
        assert sorted(ids + holes) == list(range(ids[0], ids[-1] + 1))
    received = sum(map(len, batches))
    assert received == books.accepted + books.duplicates + books.rejected
    assert books.accepted == len(ids)


@given(st.lists(st.lists(st.integers(0, 40), max_size=9), max_size=6), st.integers(0, 6))
def test_a_snapshot_resumes_where_it_was_taken(batches: list[list[int]], cut: int) -> None:
    whole, first = Continuity(KEY), Continuity(KEY)
    expected = [said(whole.on_trades(batch(ids))) for ids in batches]
    found = [said(first.on_trades(batch(ids))) for ids in batches[:cut]]
    second = Continuity.restore(first.snapshot())
    found += [said(second.on_trades(batch(ids))) for ids in batches[cut:]]
    assert found == expected


def test_a_foreign_snapshot_is_refused() -> None:
    with pytest.raises(SnapshotError, match=r"snapshot of continuity is `other`"):
        Continuity.restore(("other", 1))
