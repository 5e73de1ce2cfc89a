"""Accounts by examples whose numbers were computed by hand."""

from dataclasses import replace
from decimal import Decimal

import pytest

from core.market.errors import SnapshotError
from core.market.kline import Status
from core.market.paper import TOTAL, Equity, Fill
from core.paper.config import PaperConfig
from core.paper.portfolio import Portfolio
from core.paper.rules import Rules
from tests.core.paper.stream import (
    KEY,
    M5,
    MINUTE_US,
    SECOND_US,
    Item,
    feed,
    kline,
    removed,
    run,
    signal,
    told,
    trades,
)

FREE = {"fee_bps": 0, "slippage_bps": 0}


def fills(rows: list[Fill | Equity], instance: str = "a") -> list[Fill]:
    return [row for row in rows if isinstance(row, Fill) and row.instance == instance]


def equity(rows: list[Fill | Equity], instance: str = "a") -> list[Equity]:
    return [row for row in rows if isinstance(row, Equity) and row.instance == instance]


def test_a_long_of_all_the_equity_with_fee_and_slippage() -> None:
    # 100 with 1 % of slippage is 101; 10,000 / (101 * 1.001) = 98.9109... to three places.
    items: list[Item] = [
        kline(0, 9_900),
        signal(0, "long"),
        kline(1, 10_000, 11_000),
        signal(1, "flat"),
        kline(2, 12_000),
    ]
    rows = run(items, slippage_bps=100, fee_bps=10)
    bought, sold = fills(rows)
    assert told(bought, "side price quantity") == ("buy", Decimal(101), Decimal("98.91"))
    assert bought.fee == Decimal("9.98991")  # 98.91 * 101 * 0.001
    assert bought.cash == Decimal(10_000) - Decimal("9989.91") - Decimal("9.98991")
    assert told(bought, "position entry realised") == (Decimal("98.91"), Decimal(101), 0)
    assert told(bought, "time_us signal_seq") == (MINUTE_US, MINUTE_US - 1)
    assert told(bought, "reason strategy interval") == ("long 0", "rule", "1m")
    first, second = equity(rows)
    assert first.unrealised == Decimal("890.19")  # 98.91 * (110 - 101)
    assert first.equity == Decimal(10_000) - Decimal("9.98991") + Decimal("890.19")
    assert first.peak == first.equity
    # Sold at 120 * 0.99 = 118.8.
    assert told(sold, "side price quantity") == ("sell", Decimal("118.8"), Decimal("98.91"))
    assert sold.realised == Decimal("1760.598")  # 98.91 * 17.8
    assert sold.fee == Decimal("11.750508")
    assert told(sold, "position entry") == (0, 0)
    assert second.equity == Decimal(10_000) + Decimal("1760.598") - Decimal("9.98991") - Decimal(
        "11.750508"
    )
    assert second.equity == second.cash == sold.cash
    assert told(second, "fees fills") == (Decimal("21.740418"), 2)


def test_a_reversal_is_one_fill_that_closes_and_opens() -> None:
    items: list[Item] = [
        kline(0, 10_000),
        signal(0, "long"),
        kline(1, 10_000),
        signal(1, "short"),
        kline(2, 11_000),
        signal(2, "flat"),
        kline(3, 8_000),
    ]
    rows = run(items, **FREE, size_mode="base", size=2)
    opened, turned, closed = fills(rows)
    assert told(opened, "side quantity position") == ("buy", 2, 2)
    assert told(turned, "side quantity position") == ("sell", 4, -2)
    assert told(turned, "realised entry cash") == (20, 110, 10_240)
    assert told(closed, "side quantity position") == ("buy", 2, 0)
    assert told(closed, "realised cash") == (60, 10_080)


def test_a_signal_for_the_position_held_does_nothing() -> None:
    items: list[Item] = [
        kline(0, 10_000),
        signal(0, "long"),
        kline(1, 10_000),
        signal(1, "long"),
        kline(2, 10_000),
        kline(3, 10_000),
    ]
    assert len(fills(run(items))) == 1


def test_a_newer_signal_replaces_one_that_waits() -> None:
    flat = kline(1, 10_000, count=0)
    items: list[Item] = [
        kline(0, 10_000),
        signal(0, "long"),
        flat,
        signal(1, "short"),
        kline(2, 10_000),
    ]
    (only,) = fills(run(items))
    assert told(only, "side reason") == ("sell", "short 1")
    items = [kline(0, 10_000), signal(0, "long"), flat, signal(1, "flat"), kline(2, 10_000)]
    assert run(items) == []


def test_a_window_without_trades_has_no_price() -> None:
    items: list[Item] = [
        kline(0, 10_000),
        signal(0, "long"),
        kline(1, 10_000, count=0),
        kline(2, 12_345),
    ]
    (only,) = fills(run(items, **FREE))
    assert told(only, "price time_us") == (Decimal("123.45"), 2 * MINUTE_US)


def test_a_volume_without_a_count_of_trades_has_a_price() -> None:
    uncounted = replace(kline(1, 12_345, count=0), volume_units=7)
    (only,) = fills(run([kline(0, 10_000), signal(0, "long"), uncounted], **FREE))
    assert told(only, "price time_us") == (Decimal("123.45"), MINUTE_US)


def test_the_first_trade_after_the_kline_is_the_next_price() -> None:
    late, nothing = (50 * SECOND_US, 9_000), (61 * SECOND_US, 0)
    batch = trades([late, nothing, (62 * SECOND_US, 10_100), (63 * SECOND_US, 10_200)])
    items: list[Item] = [kline(0, 10_000), signal(0, "long"), batch, kline(1, 10_100, 10_200)]
    (only,) = fills(run(items, **FREE))
    assert told(only, "price time_us") == (101, 62 * SECOND_US)
    # Told to wait for the open, it takes the kline's.
    (only,) = fills(run(items, **FREE, fill="open"))
    assert told(only, "price time_us") == (101, MINUTE_US)


def test_trades_with_no_later_price_fill_nothing() -> None:
    early = trades([(50 * SECOND_US, 9_000), (61 * SECOND_US, 0)])
    assert run([kline(0, 10_000), signal(0, "long"), early, trades([])]) == []


def test_the_open_is_that_of_the_signals_own_interval() -> None:
    items: list[Item] = [kline(n, 10_000 + n) for n in range(5)]
    items += [kline(0, 10_000, 10_004, of=M5), signal(0, "long", of=M5)]
    items += [kline(n, 10_000 + n) for n in range(5, 10)]
    rows = run(items, **FREE)
    assert rows == []
    rows = run([*items, kline(1, 10_005, 10_009, of=M5)], **FREE)
    (only,) = fills(rows)
    assert told(only, "price time_us interval") == (Decimal("100.05"), 5 * MINUTE_US, "5m")
    assert [(row.interval, row.price) for row in equity(rows)] == [("5m", Decimal("100.09"))]


def test_klines_issued_again_and_forming_ones_change_nothing() -> None:
    items: list[Item] = [kline(0, 10_000), signal(0, "long"), kline(1, 10_000)]
    portfolio = Portfolio(KEY, PaperConfig(), "1m")
    feed(portfolio, items)
    before = portfolio.snapshot()
    assert feed(portfolio, [kline(2, 1, revision=1)]) == []
    assert feed(portfolio, [replace(kline(2, 1), status=Status.FORMING)]) == []
    assert portfolio.snapshot() == before


def test_without_shorts_a_short_signal_closes() -> None:
    items: list[Item] = [
        kline(0, 10_000),
        signal(0, "short"),
        kline(1, 10_000),
        signal(1, "long"),
        kline(2, 10_000),
        signal(2, "short"),
        kline(3, 10_000),
    ]
    assert [f.side for f in fills(run(items, short=False))] == ["buy", "sell"]
    assert [f.side for f in fills(run(items))] == ["sell", "buy", "sell"]


@pytest.mark.parametrize(
    ("settings", "quantity"),
    [
        ({"size": "0.5"}, "50"),
        ({"size_mode": "quote", "size": 250}, "2.5"),
        ({"size_mode": "base", "size": "0.0129"}, "0.012"),  # three places, downwards
        ({"size_mode": "base", "size": 1_000_000}, "100"),  # all that it can pay
        ({"size_mode": "quote", "size": 1_000_000, "leverage": 3}, "300"),
        ({"size": 2, "leverage": 2}, "200"),
        ({"instances": {"a": {"size": "0.25"}}}, "25"),
        ({"instances": {"other": {"size": "0.25"}}}, "100"),
    ],
)
def test_sizes(settings: dict[str, object], quantity: str) -> None:
    for side in ("long", "short"):
        rows = run([kline(0, 10_000), signal(0, side), kline(1, 10_000)], **FREE, **settings)
        assert [f.quantity for f in fills(rows)] == [Decimal(quantity)]


@pytest.mark.parametrize("places", [0, 3, 8])
def test_a_quantity_has_no_more_places_than_the_instrument(places: int) -> None:
    quantity = Decimal(10_000) / 7
    items: list[Item] = [kline(0, 700, places=places), signal(0, "long"), kline(1, 700, places=9)]
    (only,) = fills(run(items, **FREE))
    assert only.quantity == quantity.quantize(Decimal(1).scaleb(-places), "ROUND_DOWN")


def test_a_size_of_less_than_the_smallest_quantity_is_no_fill_and_is_said() -> None:
    portfolio = Portfolio(KEY, PaperConfig(size_mode="quote", size=Decimal("0.05")), "1m")
    assert feed(portfolio, [kline(0, 10_000), signal(0, "long"), kline(1, 10_000)]) == []
    (notice,) = portfolio.notices
    assert told(notice, "kind instance") == ("unfilled", "a")
    assert "buys less than 0.001" in notice.detail
    # One that holds something closes it and opens nothing.
    rows = run(
        [kline(0, 10_000), signal(0, "long"), kline(1, 10_000), signal(1, "short"),
         kline(2, 100_000_000)],
        **FREE, size_mode="quote", size=10,
    )  # fmt: skip
    assert [(f.side, f.position) for f in fills(rows)] == [("buy", Decimal("0.1")), ("sell", 0)]


def test_a_short_that_loses_everything_is_closed_and_stays_so() -> None:
    items: list[Item] = [
        kline(0, 10_000),
        signal(0, "short"),
        kline(1, 10_000),
        kline(2, 10_000, 21_000),
        signal(2, "long"),
        kline(3, 10_000),
        signal(3, "short"),
        kline(4, 10_000),
    ]
    portfolio = Portfolio(KEY, PaperConfig.model_validate(FREE), "1m")
    rows = feed(portfolio, items)
    _, closed = fills(rows)
    assert told(closed, "side price cash position") == ("buy", 210, -1000, 0)
    assert closed.reason == "bankrupt: the equity is -1000"
    assert closed.time_us == 3 * MINUTE_US - 1
    assert [row.equity for row in equity(rows)] == [10_000, -1000]
    assert [notice.kind for notice in portfolio.notices] == ["bankrupt"]


def test_a_flat_account_says_its_equity_once() -> None:
    items: list[Item] = [kline(0, 10_000), signal(0, "long"), kline(1, 10_000), signal(1, "flat")]
    rows = run([*items, *(kline(n, 10_000) for n in range(2, 9))])
    assert [row.time_us for row in equity(rows)] == [2 * MINUTE_US - 1, 3 * MINUTE_US - 1]
    assert [row.time_us for row in equity(rows, TOTAL)] == [2 * MINUTE_US - 1, 3 * MINUTE_US - 1]


def test_the_total_is_all_accounts_at_each_close_of_the_shortest_interval() -> None:
    items: list[Item] = [
        kline(0, 10_000),
        signal(0, "long"),
        signal(0, "short", "b"),
        kline(1, 10_000, 9_000),
        signal(1, "flat"),
        kline(2, 9_000),
        signal(2, "long", "c"),
        kline(3, 9_000),
    ]
    rows = run(items, **FREE, size_mode="base", size=10)
    first, second, third = equity(rows, TOTAL)
    assert told(first, "position cash equity") == (0, 20_000, 20_000)
    assert told(first, "unrealised fills peak") == (0, 2, 20_000)
    assert told(second, "position realised unrealised") == (-10, -100, 100)
    # An account that joins brings its cash; the peak moves by it, so that it is no profit.
    assert told(third, "equity peak drawdown") == (30_000, 30_000, 0)
    assert {row.strategy for row in (first, second, third)} == {""}


def test_a_removed_instance_is_closed_at_the_next_price_and_begins_anew() -> None:
    half = MINUTE_US // 2
    items: list[Item] = [kline(0, 10_000), signal(0, "long"), kline(1, 10_000), kline(2, 10_000)]
    rows = run(
        [
            *items,
            removed(3 * MINUTE_US + half),
            kline(3, 9_000),
            kline(4, 11_000),
            kline(5, 11_000),
            signal(5, "long"),
            kline(6, 11_000),
        ],
        **FREE,
    )
    # The kline in which it was removed opened before; the one behind it is the next.
    _, closed, again = fills(rows)
    assert told(closed, "time_us reason") == (4 * MINUTE_US, "instance removed")
    assert closed.cash == 11_000
    assert again.cash + again.quantity * again.price == 10_000
    assert equity(rows, TOTAL)[-1].equity == 21_000
    after = trades([(3 * MINUTE_US + half + 1, 9_500)])
    rows = run([*items, removed(3 * MINUTE_US + half), after], **FREE)
    assert [f.price for f in fills(rows)] == [100, 95]


def test_a_removed_instance_without_a_position_is_forgotten() -> None:
    portfolio = Portfolio(KEY, PaperConfig(), "1m")
    feed(portfolio, [kline(0, 10_000), signal(0, "long"), removed(MINUTE_US)])
    assert feed(portfolio, [kline(1, 10_000), removed(2 * MINUTE_US), kline(2, 10_000)]) == []
    assert portfolio.snapshot() == feed_nothing()


def feed_nothing() -> tuple[object, ...]:
    portfolio = Portfolio(KEY, PaperConfig(), "1m")
    feed(portfolio, [kline(n, 10_000) for n in range(3)])
    return portfolio.snapshot()


def test_other_settings_hold_for_what_comes_and_not_for_what_is_held() -> None:
    portfolio = Portfolio(KEY, PaperConfig.model_validate(FREE), "1m")
    feed(portfolio, [kline(0, 10_000), signal(0, "long"), kline(1, 10_000)])
    dear = PaperConfig(cash=Decimal(5), fee_bps=Decimal(100), slippage_bps=Decimal(0))
    later = Portfolio.restore(portfolio.snapshot(), dear, "1m")
    rows = feed(later, [kline(2, 10_000), signal(2, "flat"), kline(3, 10_000)])
    (closed,) = fills(rows)
    assert told(closed, "quantity fee") == (100, 100)
    assert equity(rows)[-1].equity == 9_900


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(SnapshotError, match="paper"):
        Portfolio.restore(("paper-0",), PaperConfig(), "1m")
    with pytest.raises(SnapshotError, match="paper"):
        Portfolio.restore((), PaperConfig(), "1m")


def test_positions_rise_within_each_kind_of_row() -> None:
    items: list[Item] = [kline(0, 10_000)]
    for n in range(1, 30):
        items += [signal(n - 1, ("long", "short")[n % 2], f"i{m}") for m in range(3)]
        items.append(kline(n, 10_000))
    rows = run(items)
    for kind in (Fill, Equity):
        seqs = [row.seq for row in rows if isinstance(row, kind)]
        assert len(seqs) > 50
        assert seqs == sorted(set(seqs))


def test_a_removed_instance_says_what_it_ended_with() -> None:
    items: list[Item] = [
        kline(0, 10_000),
        signal(0, "long"),
        kline(1, 10_000),
        removed(2 * MINUTE_US - 1),
    ]
    rows = run([*items, kline(2, 11_000), kline(3, 11_000)], **FREE)
    assert [row.equity for row in equity(rows)] == [10_000, 11_000]


def test_an_instance_that_comes_back_before_the_next_price_goes_on() -> None:
    flat = kline(2, 10_000, count=0)
    items: list[Item] = [
        kline(0, 10_000),
        signal(0, "long"),
        kline(1, 10_000),
        removed(2 * MINUTE_US - 1),
    ]
    items += [flat, signal(2, "long"), kline(3, 11_000), signal(3, "flat"), kline(4, 12_000)]
    rows = run([*items, kline(5, 12_000), signal(5, "long"), kline(6, 12_000)], **FREE)
    assert [f.side for f in fills(rows)] == ["buy", "sell", "buy"]
    assert fills(rows)[-1].quantity == 100  # of 12,000


def test_fills_of_one_batch_come_in_the_order_of_its_trades() -> None:
    items: list[Item] = [kline(0, 10_000), signal(0, "long"), kline(1, 10_000)]
    items += [removed(200 * SECOND_US), signal(1, "long", "b")]
    items.append(trades([(150 * SECOND_US, 10_000), (250 * SECOND_US, 10_000)]))
    assert [row.instance for row in run(items) if isinstance(row, Fill)] == ["a", "b", "a"]


def test_the_finest_places_of_a_quantity_so_far_count_and_never_more_than_nine() -> None:
    items: list[Item] = [
        kline(0, 700, places=3),
        kline(1, 700, places=1),
        signal(1, "long"),
        kline(2, 700),
    ]
    (only,) = fills(run(items, **FREE))
    assert only.quantity == Decimal("1428.571")
    items = [kline(0, 700, places=12), signal(0, "long"), kline(1, 700)]
    (only,) = fills(run(items, **FREE))
    assert only.quantity == Decimal("1428.571428571")


def test_no_price_is_nothing() -> None:
    dust = Rules.of(PaperConfig(slippage_bps=Decimal(1000)))
    assert (dust.paid(1, buys=False), dust.paid(1, buys=True)) == (1, 2)
    assert dust.paid(10**9, buys=False) == 900_000_000
