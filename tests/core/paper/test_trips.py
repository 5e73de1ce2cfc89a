"""Round trips out of fills: by hand, and as a law."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from core.market.paper import TOTAL, Equity, Fill
from core.paper.trips import trips_of
from tests.core.paper.stream import MINUTE_US, Item, kline, run, signal, told

Prices = list[tuple[int, str]]


def rows_of(said: Prices, **more: object) -> tuple[list[Fill], list[Equity]]:
    items: list[Item] = []
    for n, (cents, side) in enumerate(said):
        items.append(kline(n, cents))
        if side:
            items.append(signal(n, side))
    rows = run(items, **more)
    fills = [row for row in rows if isinstance(row, Fill)]
    return fills, [row for row in rows if isinstance(row, Equity) and row.instance != TOTAL]


def test_a_position_that_turns_round_is_two_trips_that_share_the_fee() -> None:
    said = [(10_000, "long"), (10_000, ""), (12_000, "short"), (11_000, "flat"), (9_000, "")]
    fills, _ = rows_of(said, fee_bps=10, slippage_bps=0, size_mode="base", size=2)
    long, short = trips_of(fills)
    assert told(long, "side entry exit quantity") == ("long", 100, 110, 2)
    assert told(short, "side entry exit quantity") == ("short", 110, 90, 2)
    # 2 x 100 and 4 x 110 and 2 x 90, a thousandth each; of the second one half each.
    assert (long.fees, short.fees) == (Decimal("0.42"), Decimal("0.40"))
    assert (long.profit, short.profit) == (Decimal("19.58"), Decimal("39.6"))
    assert (long.entry_us, long.exit_us) == (MINUTE_US, 3 * MINUTE_US)
    assert (long.why, long.why_closed, short.why_closed) == ("long 0", "short 2", "flat 3")
    assert not long.is_open


def test_one_that_is_open_is_valued() -> None:
    fills, _ = rows_of(
        [(10_000, "long"), (10_000, "")], fee_bps=0, slippage_bps=0, size_mode="base", size=1
    )
    (trip,) = trips_of(fills, Decimal(130))
    assert trip.is_open
    assert told(trip, "exit profit gain") == (130, 30, 0.3)
    assert trips_of(fills)[0].profit == 0
    assert trips_of([]) == []


@settings(max_examples=150)
@given(
    said=st.lists(
        st.tuples(st.integers(5_000, 20_000), st.sampled_from(["", "long", "short", "flat"])),
        min_size=2,
        max_size=25,
    ),
    fee=st.sampled_from([0, 7, 33]),
)
def test_profits_of_all_trips_are_what_the_account_earned(said: Prices, fee: int) -> None:
    fills, equity = rows_of(said, fee_bps=fee, slippage_bps=3, leverage=1)
    if not equity:
        assert not fills
        return
    trips = trips_of(fills, equity[-1].price)
    assert sum((t.profit for t in trips), Decimal(0)) == equity[-1].equity - 10_000
    assert sum((t.fees for t in trips), Decimal(0)) == equity[-1].fees
    assert sum(t.is_open for t in trips) == bool(equity[-1].position)
