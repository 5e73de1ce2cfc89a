"""A day's scan: aggregates, silences, edges without a price, and what ids of futures prove."""

import numpy as np

from core.ledger import DayFacts, DayScan, Edge, State, certify
from core.ledger.certificate import plain, time_text
from core.ledger.scan import edge_of
from core.market.intervals import DAY_US, interval
from core.market.trades import Trades

DAY = 20_000 * DAY_US
STEP_US = 60_000_000


def aggregates(rows: list[tuple[int, int, int]], *, key: str = "binance:BTCUSDT") -> Trades:
    """Return aggregates of (id, first trade, last trade), a minute apart."""
    ids, firsts, lasts = np.array(rows, np.int64).T
    ones = np.ones(len(rows), np.int64)
    times = DAY + np.arange(len(rows)) * STEP_US
    return Trades(key, 0, 0, ids, times, ones, ones, ones > 0, firsts, lasts)


def scanned(trades: Trades, before: Edge | None, after: Edge | None) -> DayFacts:
    scan = DayScan(trades.key, DAY, None)
    scan.begin(before)
    scan.add(trades, 0)
    scan.end(after)
    return DayFacts("2024-10-04", scan, before, after, files=("a file",))


BEFORE, AFTER = Edge(9, DAY - 1), Edge(13, DAY + DAY_US)


def test_trade_ids_inside_aggregates_follow_one_another_on_spot() -> None:
    whole = aggregates([(10, 100, 103), (11, 104, 104), (12, 105, 109)])
    assert certify(scanned(whole, BEFORE, AFTER)).state is State.COMPLETE
    holed = aggregates([(10, 100, 103), (11, 106, 106), (12, 107, 109)])
    (missing,) = certify(scanned(holed, BEFORE, AFTER)).missing
    assert (missing.first_id, missing.last_id) == (104, 105)
    invalidated = aggregates([(10, 100, 103), (11, -1, -1), (12, 107, 109)])
    assert certify(scanned(invalidated, BEFORE, AFTER)).state is State.COMPLETE


def test_futures_skip_trade_ids_and_are_proven_by_those_of_aggregates() -> None:
    rows = [(10, 100, 103), (11, 106, 106), (12, 107, 109)]
    futures = aggregates(rows, key="binance-usdm:BTCUSDT")
    assert certify(scanned(futures, BEFORE, AFTER)).state is State.COMPLETE
    missing = aggregates([rows[0], rows[2]], key="binance-usdm:BTCUSDT")
    assert certify(scanned(missing, BEFORE, AFTER)).state is State.INCOMPLETE


def test_a_silence_is_named_and_is_no_gap() -> None:
    busy = aggregates([(n, n, n) for n in range(10, 1010)])
    busy.time_us[:] = DAY + np.arange(1000) * 30_000_000
    busy.time_us[500:] += 4 * 3_600_000_000
    found = certify(scanned(busy, BEFORE, Edge(1010, DAY + DAY_US)))
    assert found.state is State.COMPLETE
    assert [s.after_id for s in found.silences] == [509, 1009]  # and the quiet end of the day
    quiet = aggregates([(n, n, n) for n in range(10, 13)])
    quiet.time_us[:] = DAY + np.arange(3) * 7 * 3_600_000_000
    assert certify(scanned(quiet, BEFORE, AFTER)).silences == ()


def test_an_id_on_both_sides_of_midnight_is_against_the_day() -> None:
    rows = aggregates([(10, 1, 1), (11, 2, 2), (12, 3, 3)])
    found = certify(scanned(rows, Edge(10, DAY - 1), Edge(12, DAY + DAY_US)))
    assert [r.code for r in found.reasons] == ["duplicates", "duplicates"]


def test_rows_of_another_day_are_against_the_day() -> None:
    rows = aggregates([(10, 1, 1), (11, 2, 2), (12, 3, 3)])
    rows.time_us[2] += DAY_US
    assert [r.code for r in certify(scanned(rows, BEFORE, AFTER)).reasons] == ["misplaced"]


def test_an_edge_has_the_nearest_price_though_the_outermost_row_has_none() -> None:
    rows = aggregates([(10, 1, 1), (11, 2, 2), (12, 3, 3)])
    rows.quantity[2] = 0
    edge = edge_of(rows, first=False)
    assert edge.id == 12
    assert edge.trade is not None
    assert edge.trade.id.tolist() == [11]
    rows.price[:] = 0
    assert edge_of(rows, first=True).trade is None


def test_empty_windows_carry_the_price_of_the_day_before() -> None:
    rows = aggregates([(10, 1, 1)])
    rows.time_us[0] = DAY + 10 * STEP_US
    earlier = aggregates([(9, 0, 0)])
    earlier.time_us[0] = DAY - 5 * STEP_US
    earlier.price[0] = 7
    scan = DayScan(rows.key, DAY, interval("1m"))
    scan.begin(edge_of(earlier, first=False))
    scan.add(rows, 0)
    scan.end(Edge(11, DAY + DAY_US))
    assert scan.recount is not None
    built = scan.recount._klines
    assert len(built) == 1440
    assert {k.close_units for k in list(built.values())[:10]} == {7}
    check = scan.recount.check([])
    assert (check.stored, check.differing) == (0, 1)  # empty windows need not be stored


def test_times_leave_as_text_and_names_without_their_unit() -> None:
    assert time_text(DAY + 1) == "2024-10-04T00:00:00.000001Z"
    assert plain(Edge(1, DAY)) == {"id": 1, "time": "2024-10-04T00:00:00Z", "trade": None}
