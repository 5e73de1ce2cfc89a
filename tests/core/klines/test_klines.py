"""Each rule of the klines by an example small enough to check by eye."""

import pickle
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, TypedDict, Unpack

import numpy as np
import pytest

from core.klines import KlineBuilder
from core.market.errors import ConfigError, SnapshotError
from core.market.events import Gap, Late
from core.market.intervals import INTERVALS, MINUTE_US, SECOND_US, Interval
from core.market.kline import PRICES, Kline, Measure, Status
from core.market.trades import Trades

KEY = "binance:BTCUSDT"
S = SECOND_US
_SOME: tuple[Measure, ...] = ("open", "close", "volume", "quote_volume")
GAP = Gap(KEY, 0, 0, 3, 9, "gone")


Row = tuple[int, float, int, int]


class Options(TypedDict, total=False):
    grace_us: int
    empty: Literal["carry", "skip"]
    keep: int
    max_fill: int


def made(*names: str, **options: Unpack[Options]) -> KlineBuilder:
    intervals = tuple(INTERVALS[name] for name in names or ("1m",))
    return KlineBuilder(KEY, base=INTERVALS["1m"], intervals=intervals, **options)


def batch(
    *rows: Row,
    scales: tuple[int, int] = (0, 0),
    aggregate: list[tuple[int, int]] | None = None,
) -> Trades:
    """Return trades of (id, second, price, quantity); the taker bought where the id is even."""
    ids, seconds, prices, quantities = (np.array(column) for column in zip(*rows, strict=True))
    first, last = np.array(aggregate, np.int64).T if aggregate else (None, None)
    times = (seconds * S).astype(np.int64)
    return Trades(KEY, *scales, ids, times, prices, quantities, ids % 2 == 1, first, last)


def klines(items: list[Kline | Late]) -> list[Kline]:
    found = [item for item in items if isinstance(item, Kline)]
    assert len(found) == len(items)
    return found


def shown(items: Iterable[object], *fields: str) -> list[tuple[object, ...]]:
    """Return the fields of each item, intervals by name."""
    found = (tuple(getattr(item, field) for field in fields) for item in items)
    return [tuple(str(v) if isinstance(v, Interval) else v for v in values) for values in found]


def minutes(items: Iterable[object], *fields: str) -> list[tuple[object, ...]]:
    """Return the start of each kline in minutes, and its fields."""
    return [
        (item.open_us // MINUTE_US, *(getattr(item, field) for field in fields))
        for item in items
        if isinstance(item, Kline)
    ]


def test_the_first_trade_of_a_later_window_closes_the_one_before() -> None:
    build = made()
    assert build.on_trades(batch((1, 0, 10, 2), (2, 30, 14, 1), (3, 59.999999, 9, 3))) == []
    (kline,) = klines(build.on_trades(batch((4, 60, 50, 50))))
    assert kline == Kline(
        KEY, INTERVALS["1m"], 0, 60 * S - 1, 0, 0, 10, 14, 9, 9,
        volume_units=6, quote_volume_units=61, trades=3,
        taker_buy_volume_units=1, taker_buy_quote_volume_units=14,
        first_id=1, last_id=3, status=Status.FINAL, complete=False, revision=0, seq=59_999 << 20,
    )  # fmt: skip


def test_a_tick_closes_a_window_only_past_the_grace() -> None:
    build = made(grace_us=2 * S)
    build.on_trades(batch((1, 30, 10, 1)))
    assert build.on_tick(62 * S - 1) == []
    (kline,) = klines(build.on_tick(62 * S))
    assert (kline.open_us, kline.seq) == (0, 59_999 << 20)
    assert build.on_tick(62 * S) == []


@pytest.mark.parametrize(("empty", "opens"), [("carry", [0, 1, 2, 3]), ("skip", [0])])
def test_empty_windows_are_flat_or_skipped(
    empty: Literal["carry", "skip"], opens: list[int]
) -> None:
    build = made(empty=empty)
    build.on_trades(batch((1, 0, 10, 1), (2, 1, 12, 1)))
    out = klines(build.on_trades(batch((3, 245, 5, 1))))
    assert minutes(out) == [(at,) for at in opens]
    for flat in out[1:]:
        prices = flat.open_units, flat.high_units, flat.low_units, flat.close_units
        assert prices == (12, 12, 12, 12)
        assert (flat.volume_units, flat.trades, flat.first_id, flat.last_id) == (0, 0, -1, -1)
        assert flat.complete


def test_no_window_before_the_first_trade_is_issued() -> None:
    build = made()
    assert build.on_tick(600 * S) == build.on_tick(900 * S) == build.forming() == []
    assert build.on_trades(batch((1, 960, 1, 1))) == []


def test_more_empty_windows_than_the_limit_are_not_filled() -> None:
    few, many = made("1m", "5m", max_fill=3), made("1m", "5m", max_fill=4)
    for build in (few, many):
        build.on_trades(batch((1, 0, 10, 1)))
    after = batch((2, 5 * 60 + 1, 10, 1))
    assert len(many.on_trades(after)) == 6
    out = few.on_trades(after)
    assert shown(out, "interval", "complete") == [("1m", False), ("5m", False)]
    (last, *_) = klines(few.on_tick(365 * S))
    assert last.complete
    assert klines(few.on_tick(10**15))[0].open_us == 360 * S


def test_of_klines_that_end_together_the_longest_comes_first() -> None:
    build = made("1h", "1m", "3m", "5m")
    build.on_tick(0)
    out = klines(build.on_trades(batch(*((i, 60 * i, i + 1, 1) for i in range(61)))))
    named = shown(out, "interval", "trades")
    assert named[:4] == [("1m", 1), ("1m", 1), ("3m", 3), ("1m", 1)]
    assert named[-4:] == [("1h", 60), ("5m", 5), ("3m", 3), ("1m", 1)]
    hour = out[-4]
    assert (hour.open_units, hour.close_units, hour.volume_units) == (1, 60, 60)
    assert (hour.first_id, hour.last_id, hour.complete) == (0, 59, True)
    assert [k.seq for k in out] == sorted({k.seq for k in out})


def test_only_named_intervals_are_issued() -> None:
    build = made("5m")
    build.on_trades(batch((1, 0, 10, 1), (2, 70, 11, 1)))
    out = build.on_trades(batch((3, 300, 12, 1)))
    assert shown(out, "interval", "open_us") == [("5m", 0)]
    assert shown(build.forming(), "interval", "trades") == [("5m", 1)]


def test_a_late_trade_issues_its_window_again_and_moves_what_is_carried() -> None:
    build = made("1m", "5m")
    build.on_trades(batch((1, 10, 10, 1), (2, 190, 20, 1)))
    out = build.on_trades(batch((3, 50, 99, 2)))
    fields = "open_units", "close_units", "high_units", "volume_units", "trades", "revision"
    assert minutes(out, *fields) == [
        (0, 10, 99, 99, 3, 2, 1), (1, 99, 99, 99, 0, 0, 1), (2, 99, 99, 99, 0, 0, 1),
    ]  # fmt: skip
    (_, five) = build.forming()
    assert (five.volume_units, five.close_units) == (4, 99)
    out = build.on_trades(batch((4, 300, 1, 1), (5, 55, 7, 1)))
    assert shown(out, "interval", "open_us", "revision")[-4:] == [
        ("1m", 0, 2), ("1m", 60 * S, 2), ("1m", 120 * S, 2), ("5m", 0, 1),
    ]  # fmt: skip


def test_a_trade_older_than_the_history_is_late() -> None:
    build = made(keep=1)
    build.on_trades(batch((1, 10, 10, 1), (2, 70, 20, 1), (3, 130, 30, 1)))
    late, again = build.on_trades(batch((4, 20, 5, 1), (5, 80, 6, 1)))
    assert isinstance(again, Kline)
    assert late == Late(KEY, 130 * S, late.seq, trade_id=4, trade_us=20 * S)
    assert (again.open_us, again.revision, again.seq) == (60 * S, 1, late.seq + 1)


def test_a_late_trade_in_an_unknown_window_makes_a_kline_that_is_not_complete() -> None:
    build = made("1m", "5m", keep=3, empty="skip")
    build.on_trades(batch((1, 0, 10, 1), (2, 60, 10, 1)))
    build.on_gap(GAP)
    build.on_trades(batch((9, 1210, 20, 1), (10, 1270, 20, 1)))
    out = build.on_trades(batch((11, 610, 15, 1)))
    assert shown(out, "interval", "open_us", "revision", "complete") == [
        ("1m", 600 * S, 0, False), ("5m", 600 * S, 0, False),
    ]  # fmt: skip
    # Now windows 1, 10 and 20 are kept, and the oldest of them is forgotten first.
    assert isinstance(build.on_trades(batch((12, 5, 1, 1)))[0], Late)
    build.on_trades(batch((12, 1330, 20, 1)))
    assert isinstance(build.on_trades(batch((13, 70, 1, 1)))[0], Late)
    assert minutes(build.on_trades(batch((14, 620, 1, 1))), "revision") == [(10, 1), (10, 1)]


def test_bookkeeping_rows_are_in_no_kline() -> None:
    build = made()
    build.on_tick(0)
    assert build.on_trades(batch((1, 0, 0, 0))) == []
    out = build.on_trades(batch((2, 5, 10, 1), (3, 6, 0, 0), (4, 7, 12, 0), (5, 500, 0, 0)))
    assert out == []
    (kline,) = klines(build.on_trades(batch((6, 65, 10, 1))))
    assert (kline.trades, kline.first_id, kline.last_id, kline.complete) == (1, 2, 2, True)


def test_aggregates_count_the_trades_they_stand_for() -> None:
    build = made()
    rows = (700, 1, 10, 1), (701, 2, 11, 1), (702, 61, 12, 1)
    ids = [(100, 104), (105, 105), (106, 107)]
    (kline,) = klines(build.on_trades(batch(*rows, aggregate=ids)))
    assert (kline.trades, kline.first_id, kline.last_id) == (6, 100, 105)


def test_a_gap_marks_the_windows_it_touches_and_hides_those_inside_it() -> None:
    build = made("1m", "5m", "15m")
    build.on_tick(0)
    build.on_trades(batch((1, 0, 10, 1), (2, 70, 10, 1)))
    build.on_gap(GAP)
    out = build.on_trades(batch((10, 670, 10, 1), (11, 730, 10, 1), (12, 960, 10, 1)))
    assert shown(out, "interval", "open_us", "complete") == [
        ("1m", 60 * S, False), ("5m", 0, False),
        ("1m", 660 * S, False), ("1m", 720 * S, True), ("1m", 780 * S, True),
        ("15m", 0, False), ("5m", 600 * S, False), ("1m", 840 * S, True), ("1m", 900 * S, True),
    ]  # fmt: skip


def test_in_a_gap_ticks_close_nothing_unknown() -> None:
    build = made("1m", "5m")
    build.on_tick(0)
    build.on_trades(batch((1, 0, 10, 1)))
    build.on_gap(GAP)
    assert minutes(build.on_tick(200 * S), "complete") == [(0, False)]
    assert build.on_tick(400 * S) == []
    assert shown(build.forming(), "interval", "complete") == [("5m", False)]
    assert build.on_trades(batch((10, 130, 10, 1))) == []


def test_a_first_window_is_complete_only_if_its_start_was_witnessed() -> None:
    cases: list[tuple[list[int], bool]] = [
        ([], False), ([61], False), ([60], True), ([90, 60], True), ([60, 90], True),
    ]  # fmt: skip
    for ticks, complete in cases:
        build = made("1m", "5m")
        for tick in ticks:
            build.on_tick(tick * S)
        build.on_trades(batch((1, 100, 10, 1)))
        first, second, *rest = klines(build.on_trades(batch((2, 600, 10, 1))))
        assert (first.complete, second.complete) == (complete, True)
        assert [k.complete for k in rest if k.interval.name == "5m"] == [False, True]


def test_forming_klines_are_what_stands_now() -> None:
    build = made("1m", "5m")
    build.on_trades(batch((1, 0, 10, 1), (2, 70, 12, 2)))
    assert shown(build.forming(), "interval", "volume_units", "status", "seq") == [
        ("1m", 2, Status.FORMING, 0), ("5m", 3, Status.FORMING, 0),
    ]  # fmt: skip
    build.on_tick(121 * S)
    flat, five = build.forming()
    assert (flat.open_us, flat.close_units, flat.trades) == (120 * S, 12, 0)
    assert (five.close_units, five.volume_units) == (12, 3)


def test_scales_grow_without_changing_a_number() -> None:
    build = made("1m", "5m")
    build.on_trades(batch((1, 0, 15, 2), (2, 61, 16, 3), scales=(1, 0)))
    build.on_trades(batch((3, 62, 1725, 25), scales=(3, 1)))
    build.on_trades(batch((4, 63, 2, 1)))  # coarser than what is held
    late, last = klines(build.on_trades(batch((5, 30, 1, 1), (6, 121, 1, 1))))
    assert (late.price_scale, late.quantity_scale) == (3, 1)
    assert [late.text(m) for m in _SOME] == [
        "1.5", "1", "3", "4",
    ]  # fmt: skip
    assert [last.text(m) for m in PRICES] == ["1.6", "2", "1.6", "2"]
    assert last.exact("quote_volume") == Decimal("1.6") * 3 + Decimal("1.725") * Decimal("2.5") + 2


def test_scales_that_grew_leave_no_trace() -> None:
    grew, fine = made("1m", "5m"), made("1m", "5m")
    coarse = batch((1, 0, 15, 2), (2, 61, 16, 3), (3, 10, 14, 1), scales=(1, 0))
    grew.on_trades(coarse)
    fine.on_trades(coarse.rescaled(3, 1))
    for build in (grew, fine):
        build.on_trades(batch((4, 62, 1725, 25), scales=(3, 1)))
    assert grew.snapshot() == fine.snapshot()


def test_sums_beyond_64_bits_are_exact() -> None:
    build = made("1m", "5m")
    big = 10**18 - 1
    build.on_trades(batch(*((i, i, big, big) for i in range(40)), scales=(9, 9)))
    (kline,) = klines(build.on_tick(61 * S))
    assert kline.quote_volume_units == 40 * big * big
    assert build.forming()[1].volume_units == 40 * big


def test_an_interval_that_does_not_hold_the_base_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`1s` cannot be folded from klines of 1m"):
        made("1m", "1s")
    with pytest.raises(ConfigError, match=r"`1M` has no fixed length"):
        KlineBuilder(KEY, base=INTERVALS["1M"], intervals=())


def test_a_snapshot_is_plain_and_another_version_is_refused() -> None:
    build = made("1m", "5m")
    build.on_trades(batch((1, 0, 10, 1), (2, 70, 12, 2)))
    state = build.snapshot()
    plain = pickle.dumps(state)
    assert b"core." not in plain
    assert KlineBuilder.restore(pickle.loads(plain)).snapshot() == state
    with pytest.raises(SnapshotError, match=r"snapshot of klines is `klines-0`"):
        KlineBuilder.restore(("klines-0", *state[1:]))
    with pytest.raises(SnapshotError, match=r"snapshot of klines is `None`"):
        KlineBuilder.restore(())
    with pytest.raises(SnapshotError, match="broken"):
        KlineBuilder.restore((state[0], (), *state[2:]))


def test_an_empty_batch_changes_nothing() -> None:
    build = made()
    nothing = batch((1, 0, 1, 1)).take(slice(0, 0))
    assert build.on_trades(nothing) == []


def test_there_are_no_klines_of_nothing_in_a_break_and_flat_ones_in_a_halt() -> None:
    builder = made("1m", "5m")
    builder.on_trades(batch((1, 5, 10, 1)))
    builder.on_status("HALT")
    assert shown(klines(builder.on_tick(121 * S)), "open_us", "trades") == [(0, 1), (60 * S, 0)]
    builder.on_status("BREAK")
    resumed = KlineBuilder.restore(pickle.loads(pickle.dumps(builder.snapshot())))
    assert resumed.on_tick(241 * S) == []
    resumed.on_status("TRADING")
    resumed.on_trades(batch((2, 250, 12, 1)))
    issued = klines(resumed.on_tick(301 * S))
    assert [(str(k.interval), k.open_us, k.trades) for k in issued] == [
        ("5m", 0, 2), ("1m", 240 * S, 1),
    ]  # fmt: skip
