"""The same trades are the same however either side grouped them; one change is found."""

from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ledger.matching import compare, safe_cut
from core.market.trades import Ints, Trades

Fill = tuple[int, int, int, bool]  # trade id, price, quantity, buyer is maker


def tape(groups: list[list[Fill]], *, aggregate: bool = True, ps: int = 2, qs: int = 3) -> Trades:
    """Return each group of fills as one row."""

    def column(values: Iterable[int]) -> Ints:
        return np.array(list(values), np.int64)

    p, q = 10 ** (ps - 2), 10 ** (qs - 3)
    return Trades(
        "binance:BTCUSDT", ps, qs,
        id=column(range(len(groups))) if aggregate else column(g[0][0] for g in groups),
        time_us=column(g[0][0] * 1_000_000 for g in groups),
        price=column(g[0][1] * p for g in groups),
        quantity=column(sum(f[2] for f in g) * q for g in groups),
        buyer_is_maker=np.array([g[0][3] for g in groups], np.bool_),
        first_id=column(g[0][0] for g in groups) if aggregate else None,
        last_id=column(g[-1][0] for g in groups) if aggregate else None,
    )  # fmt: skip


def cut(fills: list[Fill], joins: list[bool]) -> list[list[Fill]]:
    """Group neighbours of one price and side where `joins` allows it."""
    groups: list[list[Fill]] = []
    for n, fill in enumerate(fills):
        if n and joins[n % len(joins)] and groups[-1][-1][1::2] == fill[1::2]:
            groups[-1].append(fill)
        else:
            groups.append([fill])
    return groups


FILLS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.booleans(), st.integers(1, 3)),
    min_size=1, max_size=25,
).map(lambda rows: [
    (sum(step for *_, step in rows[: n + 1]), price, size, maker)
    for n, (price, size, maker, _) in enumerate(rows)
])  # fmt: skip
JOINS = st.lists(st.booleans(), min_size=1, max_size=7)


@settings(max_examples=80)
@given(fills=FILLS, ours=JOINS, theirs=JOINS, single=st.booleans())
def test_grouping_and_scales_make_no_difference(
    fills: list[Fill], ours: list[bool], theirs: list[bool], single: bool
) -> None:
    mine = tape([[f] for f in fills], aggregate=False) if single else tape(cut(fills, ours))
    equal, found = compare(mine, tape(cut(fills, theirs), ps=4, qs=5))
    assert not found
    assert equal >= 1


@settings(max_examples=80)
@given(fills=FILLS, ours=JOINS, theirs=JOINS, data=st.data())
def test_a_changed_quantity_or_side_is_found_where_it_is(
    fills: list[Fill], ours: list[bool], theirs: list[bool], data: st.DataObject
) -> None:
    n = data.draw(st.integers(0, len(fills) - 1))
    number, price, size, maker = fills[n]
    other = data.draw(st.sampled_from([(number, price, size + 1, maker),
                                       (number, price, size, not maker),
                                       (number, price + 1, size, maker)]))  # fmt: skip
    changed = [*fills[:n], other, *fills[n + 1 :]]
    _, found = compare(tape(cut(fills, ours)), tape(cut(changed, theirs)))
    assert [d.what for d in found] == ["differs"]
    assert found[0].first_id <= number <= found[0].last_id
    assert found[0].detail


def test_rows_that_one_side_lacks_are_ranges() -> None:
    fills: list[Fill] = [(n, 1, 1, True) for n in range(20)]
    mine = tape([[f] for f in fills if not 5 <= f[0] < 9], aggregate=False)
    others = tape([[f] for f in fills if f[0] < 15], aggregate=False)
    equal, found = compare(mine, others)
    assert equal == 11
    assert [(d.what, d.first_id, d.last_id, d.rows) for d in found] == [
        ("only there", 5, 8, 4), ("only here", 15, 19, 5),
    ]  # fmt: skip
    assert compare(mine.take(slice(0, 0)), others)[1][0].rows == 15


def test_a_time_in_milliseconds_is_the_other_one_cut_short() -> None:
    one = tape([[(1, 1, 1, True)]], aggregate=False)
    one.time_us[0] = 5_000_777
    other = tape([[(1, 1, 1, True)]], aggregate=False)
    other.time_us[0] = 5_000_000
    assert compare(one, other) == (1, [])
    other.time_us[0] = 5_001_000
    assert "time 5000777!=5001000" in compare(one, other)[1][0].detail


def test_sums_beyond_64_bits_are_exact() -> None:
    huge = 9 * 10**17
    fills: list[Fill] = [(n, 1, huge, True) for n in range(30)]
    single = tape([[f] for f in fills], aggregate=False)
    fives = tape([fills[n : n + 5] for n in range(0, 30, 5)])
    assert compare(fives, single) == (6, [])
    fives.quantity[2] -= 1
    assert "quantity 4499999999999999.999!=4500000000000000" in compare(fives, single)[1][0].detail


def test_tapes_are_cut_where_no_row_straddles() -> None:
    wide: list[list[Fill]] = [
        [(1, 1, 1, True), (4, 1, 1, True)],
        [(5, 1, 1, True), (9, 1, 1, True)],
    ]
    narrow: list[list[Fill]] = [[(1, 1, 1, True), (2, 1, 1, True)], [(3, 1, 1, True)],
                                [(4, 1, 1, True), (6, 1, 1, True)]]  # fmt: skip
    assert safe_cut((tape(wide), tape(narrow)), 7) == 1
    assert safe_cut((tape(wide), tape(narrow[:2])), 4) == 1
    assert safe_cut((tape(wide[:1]), tape(narrow[:1])), 9) == 9
