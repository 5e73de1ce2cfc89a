"""The fast path equals plain Python, for any times, sizes of numbers and kinds of rows."""

from itertools import chain, groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.klines.fold import fold_columns, fold_rows
from core.klines.merge import Fold
from core.market.intervals import INTERVALS, MINUTE_US
from core.market.trades import Trades

MINUTE = INTERVALS["1m"]

times = st.integers(0, 4 * MINUTE_US) | st.sampled_from([MINUTE_US - 1, MINUTE_US, MINUTE_US + 1])
units = (
    st.integers(1, 100) | st.integers(1, 10**18 - 1) | st.just(2**63 - 1) | st.sampled_from([0, -1])
)
rows = st.lists(st.tuples(times, units, units, st.booleans(), st.integers(0, 5)), max_size=30)


Row = tuple[int, int, int, bool, int]


def batch(rows: list[Row], *, aggregate: bool) -> Trades:
    t, p, q, maker, more = ([row[i] for row in rows] for i in range(5))
    last = np.cumsum(np.array(more, np.int64) + 1) + 99
    return Trades(
        "k", 2, 5,
        np.arange(len(rows), dtype=np.int64),
        np.array(t, np.int64), np.array(p, np.int64), np.array(q, np.int64),
        np.array(maker, np.bool_),
        first_id=last - np.array(more, np.int64) if aggregate else None,
        last_id=last if aggregate else None,
    )  # fmt: skip


def expected(trades: Trades) -> list[tuple[int, int, int, Fold]]:
    """Return (open, first time, latest time, sums) per run, the plain way."""
    columns = zip(
        trades.time_us.tolist(), trades.price.tolist(), trades.quantity.tolist(),
        trades.buyer_is_maker.tolist(), trades.first_ids.tolist(), trades.last_ids.tolist(),
        strict=True,
    )  # fmt: skip
    real = [row for row in columns if row[1] > 0 and row[2] > 0]
    found = []
    for window, run in groupby(real, lambda row: row[0] // MINUTE_US):
        t, p, q, maker, first, last = zip(*run, strict=True)
        quotes = [a * b for a, b in zip(p, q, strict=True)]
        bought = [i for i, m in enumerate(maker) if not m]
        fold = Fold(
            first[0], last[-1], p[0], max(p), min(p), p[-1], sum(q), sum(quotes),
            sum(b - a + 1 for a, b in zip(first, last, strict=True)),
            sum(q[i] for i in bought), sum(quotes[i] for i in bought),
        )  # fmt: skip
        found.append((window * MINUTE_US, t[0], max(t), fold))
    return found


@given(rows, st.booleans())
def test_columns_are_folded_exactly(rows: list[Row], aggregate: bool) -> None:
    trades = batch(rows, aggregate=aggregate)
    runs = fold_columns(trades, MINUTE)
    assert [(r.open_us, r.first_us, r.latest_us, r.fold) for r in runs] == expected(trades)


@given(rows, st.booleans())
def test_rows_are_columns_of_one_row_each(rows: list[Row], aggregate: bool) -> None:
    trades = batch(rows, aggregate=aggregate)
    alone = [expected(trades.take(slice(i, i + 1))) for i in range(len(rows))]
    runs = fold_rows(trades, MINUTE)
    assert [(r.open_us, r.first_us, r.latest_us, r.fold) for r in runs] == list(chain(*alone))


@given(rows)
def test_the_rows_of_a_run_are_those_it_was_folded_from(rows: list[Row]) -> None:
    trades = batch(rows, aggregate=False)
    for run in fold_columns(trades, MINUTE):
        again = fold_columns(trades.take(slice(run.start, run.end)), MINUTE)
        assert [r.fold for r in again] == [run.fold]
        assert fold_rows(trades, MINUTE, run.start, run.end)[0].first_us == run.first_us


@pytest.mark.parametrize("size", [10**4, 10**10, 10**18 - 1, 2**63 - 1])
def test_sums_of_many_rows_do_not_overflow(size: int) -> None:
    rows = [(i * 1000, size, size, bool(i % 2), 0) for i in range(50_000)]
    (run,) = fold_columns(batch(rows, aggregate=False), MINUTE)
    assert run.fold.volume == 50_000 * size
    assert run.fold.quote_volume == 50_000 * size * size
    assert run.fold.taker_buy_quote_volume == 25_000 * size * size


def test_weekly_and_second_windows_start_where_the_exchange_has_them() -> None:
    rows = [(t, 1, 1, True, 0) for t in (0, 4 * 86_400_000_000 - 1, 4 * 86_400_000_000)]
    opens = [run.open_us for run in fold_columns(batch(rows, aggregate=False), INTERVALS["1w"])]
    assert opens == [-3 * 86_400_000_000, 4 * 86_400_000_000]
    opens = [run.open_us for run in fold_columns(batch(rows[:1], aggregate=False), INTERVALS["1s"])]
    assert opens == [0]
