"""The sum that klines rest on: whatever the order and the grouping, the same result."""

from functools import reduce
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from core.klines.merge import EMPTY, Fold, fold_of, merge, rescaled
from core.market.intervals import INTERVALS
from core.market.kline import Kline


def one(trade_id: int, price: int, quantity: int, maker: bool) -> Fold:
    bought = (0, 0) if maker else (quantity, price * quantity)
    ids_and_prices = (trade_id, trade_id, price, price, price, price)
    return Fold(*ids_and_prices, quantity, price * quantity, 1, *bought)


@st.composite
def parts(draw: st.DrawFn) -> list[Fold]:
    """Return folds that share no trade, some empty, in any order."""
    ids = count(draw(st.integers(0, 2**40)))
    big = st.integers(1, 10**18)
    sizes = draw(st.lists(st.integers(0, 4), max_size=6))
    folds = [
        reduce(
            merge,
            [one(next(ids), draw(big), draw(big), draw(st.booleans())) for _ in range(n)],
            EMPTY,
        )
        for n in sizes
    ]
    return draw(st.permutations(folds))


@given(parts())
def test_a_sum_does_not_depend_on_order_or_grouping(folds: list[Fold]) -> None:
    left = reduce(merge, folds, EMPTY)
    right = reduce(lambda done, fold: merge(fold, done), reversed(folds), EMPTY)
    middle = len(folds) // 2
    halves = merge(reduce(merge, folds[middle:], EMPTY), reduce(merge, folds[:middle], EMPTY))
    assert left == right == halves
    assert left == reduce(merge, sorted(folds, key=lambda fold: fold.first_id), EMPTY)


@given(parts(), st.integers(0, 9), st.integers(0, 9))
def test_finer_units_commute_with_the_sum(folds: list[Fold], price: int, quantity: int) -> None:
    factors = 10**price, 10**quantity
    total = reduce(merge, folds, EMPTY)
    finer = [rescaled(fold, *factors) for fold in folds]
    assert reduce(merge, finer, EMPTY) == rescaled(total, *factors)


def test_a_late_part_becomes_the_close_and_an_early_one_the_open() -> None:
    middle, late, early = one(5, 50, 1, True), one(9, 90, 1, True), one(1, 10, 1, True)
    total = merge(merge(middle, late), early)
    assert (total.open, total.close, total.first_id, total.last_id) == (10, 90, 1, 9)


def kline(open_us: int, price: int, trades: int, volume: int, ids: tuple[int, int]) -> Kline:
    prices = (price,) * 4
    return Kline(
        "k", INTERVALS["1m"], open_us, open_us + 59_999_999, 0, 0, *prices,
        volume, volume * price, trades, 0, 0, *ids,
    )  # fmt: skip


def test_klines_without_ids_merge_by_time() -> None:
    early = fold_of(kline(0, 10, 0, 5, (-1, -1)))
    late = fold_of(kline(60_000_000, 20, 7, 5, (-1, -1)))
    total = merge(late, early)
    assert (total.open, total.close, total.volume, total.trades) == (10, 20, 10, 7)
    assert merge(one(3, 30, 1, True), total).close == 30


def test_a_flat_kline_adds_nothing() -> None:
    assert fold_of(kline(0, 10, 0, 0, (-1, -1))) == EMPTY
