"""The books' remainder, and totals that are shown as counters."""

import pytest

from telemetry import metrics
from telemetry.books import Books

KEY = "binance:BOOKSUSDT"


class Ledger:
    """A source and a writer, relative to what this process counted before."""

    def __init__(self) -> None:
        self.books = Books()
        self.decided = self.pending = 0
        total = metrics.total
        before = total(metrics.ACCEPTED)
        dropped = total(metrics.DUPLICATE) + total(metrics.REJECTED)
        kept = total(metrics.STORED, kind="trades") - total(metrics.RESTORED, kind="trades")
        self.books.open_source("shard-00", lambda: self.decided + before + dropped)
        self.books.open_writer("lake-00", lambda: self.pending + before - kept)

    def found(self) -> tuple[int, int]:
        told = self.books.unexplained()
        return told["source"], told["lake"]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_rows_that_are_accounted_for_leave_nothing(ledger: Ledger) -> None:
    assert ledger.found() == (0, 0)
    ledger.decided = 10
    metrics.ACCEPTED.labels(KEY).inc(7)
    metrics.DUPLICATE.labels(KEY).inc(2)
    metrics.REJECTED.labels(KEY).inc(1)
    ledger.pending = 4
    metrics.STORED.labels("trades").inc(3)
    assert ledger.found() == (0, 0)
    metrics.RESTORED.labels("trades").inc(5)  # a start took them over: they wait as well
    ledger.pending += 5
    assert ledger.found() == (0, 0)


def test_a_lost_row_is_above_and_a_doubled_one_below(ledger: Ledger) -> None:
    ledger.decided = 3
    metrics.ACCEPTED.labels(KEY).inc(2)
    ledger.pending = 3
    assert ledger.found() == (1, -1)


def test_only_books_that_are_kept_here_are_told() -> None:
    books = Books()
    assert books.unexplained() == {}
    books.open_writer("lake-00", lambda: 0)
    assert set(books.unexplained()) == {"lake"}
    books.close()
    assert books.unexplained() == {}


def test_totals_become_increments() -> None:
    def counted() -> tuple[int, int, int]:
        of = {"key": KEY}
        return (
            metrics.total(metrics.RECEIVED, **of),
            metrics.total(metrics.DUPLICATE, **of),
            metrics.total(metrics.REJECTED, **of),
        )

    start, rows = counted(), metrics.RowBooks()

    def more() -> tuple[int, ...]:
        return tuple(a - b for a, b in zip(counted(), start, strict=True))

    rows.show({KEY: (10, 1, 0)})
    rows.show({KEY: (10, 1, 0)})
    assert more() == (10, 1, 0)
    rows.show({KEY: (6, 1, 1)})  # a buffer was dropped: its rows will be received again
    rows.show({KEY: (12, 2, 1)})
    assert more() == (12, 2, 1)
    rows.show({})
    rows.show({KEY: (4, 0, 0)})
    assert more() == (16, 2, 1)


def test_gauges_of_what_is_gone_go() -> None:
    metrics.show(metrics.LAG, {"a": 1.0, "b": 2.0})
    metrics.show(metrics.LAG, {"b": 3.0})
    assert metrics.values(metrics.LAG) == {"b": 3.0}
    metrics.show(metrics.LAG, {})
    assert metrics.values(metrics.LAG) == {}


def test_a_counter_grows_up_to_a_total() -> None:
    before = metrics.total(metrics.FRAMES, shard="binance:shard-9")
    metrics.grow(metrics.FRAMES, {"binance:shard-9": 5})
    metrics.grow(metrics.FRAMES, {"binance:shard-9": 7})
    metrics.grow(metrics.FRAMES, {"binance:shard-9": 2})  # another run of the source
    metrics.grow(metrics.FRAMES, {"binance:shard-9": 3})
    assert metrics.total(metrics.FRAMES, shard="binance:shard-9") == before + 8
