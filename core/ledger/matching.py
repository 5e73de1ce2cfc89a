"""Two tapes of the same trades against each other, whether they are single trades or aggregates.

A row covers trade ids ``first..last``. Both tapes are cut where no row of either straddles: between
two cuts lie the same trades, so their sums must be equal, however either side grouped them. Live
and archived aggregates of the same number may cover different fills (ccxt#28672); their trade ids
do not lie.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.market.decimals import to_text
from core.market.trades import Ints, Trades

Units = NDArray[Any]
"""int64 where everything fits, else Python integers."""

_LIMIT = 2**63 - 1
_MS = 1000
_NAMED = 1000
# Two groups of trades with all of these equal may still differ in who traded first: where both
# sides have one row there is nothing left to differ.
_SUMS = ("quantity", "bought", "quote", "lowest", "highest")


class Difference(NamedTuple):
    """Trades ``first_id..last_id`` that are not the same on both sides.

    `what` is ``differs`` (`detail` names the fields), ``only here`` or ``only there``; `rows` how
    many rows that is.
    """

    what: str
    first_id: int
    last_id: int
    rows: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Side:
    """One tape's rows, by group of trades between two cuts."""

    rows: Ints  # how many
    first: Ints  # index of the first one
    sums: tuple[Units, ...]  # as _SUMS; 0 where there is none


def trade_ids(trades: Trades) -> Trades:
    """Return the rows that stand for trades: aggregates that were invalidated have no ids."""
    return trades.take(trades.first_ids >= 0) if trades.is_aggregate else trades


def safe_cut(tapes: tuple[Trades, Trades], reach: int) -> int:
    """Return the highest trade id up to `reach` before which both tapes can be cut."""
    cut = reach
    while True:
        before = cut
        for tape in tapes:
            row = int(np.searchsorted(tape.first_ids, cut, "left")) - 1
            if row >= 0 and int(tape.last_ids[row]) >= cut:
                cut = int(tape.first_ids[row])
        if cut == before:
            return cut


def compare(ours: Trades, theirs: Trades) -> tuple[int, list[Difference]]:
    """Return how many groups of trades are equal, and the differences, in the order of ids.

    Both are in id order and may be empty. Of rows that differ the first 1,000 are named one by one,
    all others in one; rows that one side lacks are named in ranges.
    """
    cuts = _cuts(ours, theirs)
    ps = max(ours.price_scale, theirs.price_scale)
    qs = max(ours.quantity_scale, theirs.quantity_scale)
    mine, others = _side(ours, cuts, ps, qs), _side(theirs, cuts, ps, qs)
    both = (mine.rows > 0) & (others.rows > 0)
    same = both & _same_time(ours, mine, theirs, others)
    for a, b in zip(mine.sums, others.sums, strict=True):
        same &= (a == b).astype(np.bool_)
    found = _only(cuts, mine.rows, others.rows)
    wrong = np.flatnonzero(both & ~same).tolist()
    for group in wrong[:_NAMED]:
        detail = _detail(group, (ours, mine), (theirs, others), (ps, qs))
        found.append(Difference("differs", *_ids(cuts, group), 1, detail))
    if len(wrong) > _NAMED:
        first, last = int(cuts[wrong[_NAMED]]), _ids(cuts, wrong[-1])[1]
        found.append(Difference("differs", first, last, len(wrong) - _NAMED, "and so on"))
    return int(same.sum()), sorted(found, key=lambda difference: difference.first_id)


def _cuts(ours: Trades, theirs: Trades) -> Ints:
    candidates = np.unique(
        np.concatenate([ours.first_ids, theirs.first_ids, ours.last_ids + 1, theirs.last_ids + 1])
    )
    kept = np.ones(len(candidates), np.bool_)
    for tape in (ours, theirs):
        if len(tape):
            row = np.searchsorted(tape.first_ids, candidates, "left") - 1
            kept &= (row < 0) | (tape.last_ids[row] < candidates)
    return candidates[kept]


def _side(tape: Trades, cuts: Ints, price_scale: int, quantity_scale: int) -> _Side:
    groups = max(len(cuts) - 1, 0)
    bounds = np.searchsorted(tape.first_ids, cuts, "left")
    rows = np.diff(bounds) if groups else np.zeros(0, np.int64)
    price = _units(tape.price, price_scale - tape.price_scale)
    quantity = _units(tape.quantity, quantity_scale - tape.quantity_scale)
    if len(tape):
        volume = int(quantity.max()) * len(tape)
        if volume > _LIMIT:
            quantity = quantity.astype(object)
        if volume * int(price.max()) > _LIMIT:
            price = price.astype(object)
    starts = bounds[:-1][rows > 0] if groups else bounds[:0]
    sums = []
    columns = (quantity, np.where(tape.buyer_is_maker, 0, quantity), price * quantity, price, price)
    folds = (np.add, np.add, np.add, np.minimum, np.maximum)
    for fold, column in zip(folds, columns, strict=True):
        values: Units = np.zeros(groups, column.dtype)
        if len(starts):
            values[rows > 0] = fold.reduceat(column, starts)
        sums.append(values)
    return _Side(rows, bounds[:-1] if groups else bounds[:0], tuple(sums))


def _units(values: Ints, places: int) -> Units:
    wide = bool(places) and bool(len(values)) and int(values.max()) * 10**places > _LIMIT
    units: Units = (values.astype(object) if wide else values) * 10**places
    return units


def _same_time(ours: Trades, mine: _Side, theirs: Trades, others: _Side) -> NDArray[np.bool_]:
    # Of groups that were cut alike; a time in milliseconds is the other one's, cut short.
    alike = (mine.rows == 1) & (others.rows == 1)
    same = np.ones(len(alike), np.bool_)
    a, b = ours.time_us[mine.first[alike]], theirs.time_us[others.first[alike]]
    short_a, short_b = a - a % _MS, b - b % _MS
    same[alike] = (a == b) | (a == short_b) | (b == short_a)
    return same


def _only(cuts: Ints, mine: Ints, others: Ints) -> list[Difference]:
    # Groups that one side lacks, joined as long as no group of another sort is between.
    there = np.flatnonzero((mine > 0) | (others > 0))
    sort = (mine[there] > 0) * 1 + (others[there] > 0) * 2
    starts = np.append(0, np.flatnonzero(sort[1:] != sort[:-1]) + 1) if len(there) else there
    found = []
    for start, end in zip(starts, [*starts[1:], len(there)], strict=False):
        if sort[start] != 3:
            what, rows = ("only here", mine) if sort[start] == 1 else ("only there", others)
            groups = there[start:end]
            first, last = _ids(cuts, int(groups[0]))[0], _ids(cuts, int(groups[-1]))[1]
            found.append(Difference(what, first, last, int(rows[groups].sum())))
    return found


def _ids(cuts: Ints, group: int) -> tuple[int, int]:
    return int(cuts[group]), int(cuts[group + 1]) - 1


def _detail(
    group: int, ours: tuple[Trades, _Side], theirs: tuple[Trades, _Side], scales: tuple[int, int]
) -> str:
    alike = ours[1].rows[group] == 1 == theirs[1].rows[group]
    rows = zip(
        _fields(group, *ours, scales, alike=alike),
        _fields(group, *theirs, scales, alike=alike),
        strict=True,
    )
    return ", ".join(f"{name} {a}!={b}" for (name, a), (_, b) in rows if a != b)


def _fields(
    group: int, tape: Trades, side: _Side, scales: tuple[int, int], *, alike: bool
) -> Iterator[tuple[str, str]]:
    price, quantity = scales
    names = ("quantity", "bought", "price") if alike else _SUMS
    places = {"quantity": quantity, "bought": quantity, "quote": price + quantity}
    said = dict(zip((*_SUMS, "price"), (*side.sums, side.sums[-1]), strict=True))
    for name in names:
        yield name, to_text(int(said[name][group]), places.get(name, price))
    if alike:
        yield "time", str(int(tape.time_us[side.first[group]]))
