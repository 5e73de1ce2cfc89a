"""The fast path: a batch of trades → one `Fold` per run of consecutive rows in the same window.

Of many rows numpy does the work, and Python touches windows only; of a few rows plain Python is
faster than numpy's fixed cost. Both give the same sums.
"""

from operator import mul
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.klines.merge import Fold
from core.market.intervals import Interval
from core.market.trades import Ints, Trades

FEW_ROWS = 12
"""Up to so many rows `fold_rows` is faster than `fold_columns`."""

_INT64_MAX = 2**63 - 1
_LIMB_BITS = np.uint64(32)
_LIMB = np.uint64(2**32 - 1)

Starts = NDArray[np.intp]
Unsigned = NDArray[np.uint64]


class Run(NamedTuple):
    """Consecutive rows ``start <= i < end`` of a batch whose trades lie in one window.

    Attributes:
        open_us: Start of the window.
        first_us: Time of the first trade.
        latest_us: The latest time.
        fold: What they add up to, at the batch's scales.

    """

    open_us: int
    first_us: int
    latest_us: int
    start: int
    end: int
    fold: Fold


def fold_rows(trades: Trades, base: Interval, start: int = 0, end: int | None = None) -> list[Run]:
    """Return one run per trade of the rows ``start <= i < end``."""
    part = slice(start, end)
    columns = zip(
        trades.time_us[part].tolist(),
        trades.price[part].tolist(),
        trades.quantity[part].tolist(),
        trades.buyer_is_maker[part].tolist(),
        trades.first_ids[part].tolist(),
        trades.last_ids[part].tolist(),
        strict=True,
    )
    runs = []
    for i, (t, p, q, maker, first, last) in enumerate(columns, start):
        if p <= 0 or q <= 0:
            continue  # the exchange's bookkeeping, no trade
        quote = p * q
        bought = (0, 0) if maker else (q, quote)
        fold = Fold(first, last, p, p, p, p, q, quote, last - first + 1, *bought)
        runs.append(Run(base.open_of(t), t, t, i, i + 1, fold))
    return runs


def fold_columns(trades: Trades, base: Interval) -> list[Run]:
    """Return the runs of a batch; `base` has windows of one length.

    Exact: sums stay in int64 where they provably fit, else they are put together from limbs.
    """
    if not len(trades):
        return []
    if int(trades.price.min()) > 0 and int(trades.quantity.min()) > 0:
        return _runs(trades, base)
    rows = np.flatnonzero(trades.is_trade)
    if not len(rows):
        return []
    # Bounds of runs are those of the batch as given, bookkeeping included.
    places = rows.tolist()
    return [
        run._replace(start=places[run.start], end=places[run.end - 1] + 1)
        for run in _runs(trades.take(rows), base)
    ]


def _runs(trades: Trades, base: Interval) -> list[Run]:
    times, p, q = trades.time_us, trades.price, trades.quantity
    starts = _starts(times, base)
    ends = np.append(starts[1:], len(times))
    lasts = ends - 1
    bought = q * ~trades.buyer_is_maker
    highs = np.maximum.reduceat(p, starts).tolist()
    volumes, bought_volumes = _sums(q, starts), _sums(bought, starts)
    # No sum of products exceeds the highest price times the volume.
    narrow = max(map(mul, highs, volumes)) <= _INT64_MAX
    dots = _narrow_dots if narrow else _wide_dots
    folds = map(
        Fold,
        trades.first_ids[starts].tolist(),
        trades.last_ids[lasts].tolist(),
        p[starts].tolist(),
        highs,
        np.minimum.reduceat(p, starts).tolist(),
        p[lasts].tolist(),
        volumes,
        dots(p, q, starts),
        _counts(trades, starts, ends),
        bought_volumes,
        dots(p, bought, starts),
    )
    firsts = times[starts]
    latest = np.maximum.reduceat(times, starts).tolist()
    opens = base.opens_of(firsts).tolist()
    return list(map(Run, opens, firsts.tolist(), latest, starts.tolist(), ends.tolist(), folds))


def _starts(times: Ints, base: Interval) -> Starts:
    # Numbers of windows do for seeing where they change; a division costs a third of a modulo.
    windows = (times - base.anchor_us if base.anchor_us else times) // base.length_us
    return np.append(0, np.flatnonzero(windows[1:] != windows[:-1]) + 1)


def _counts(trades: Trades, starts: Starts, ends: Starts) -> list[int]:
    if trades.is_aggregate:
        counts: list[int] = np.add.reduceat(trades.last_ids - trades.first_ids + 1, starts).tolist()
        return counts
    rows: list[int] = (ends - starts).tolist()
    return rows


def _sums(x: Ints, starts: Starts) -> list[int]:
    if int(x.max()) * len(x) <= _INT64_MAX:
        sums: list[int] = np.add.reduceat(x, starts).tolist()
        return sums
    return _wide_sums(x.view(np.uint64), starts)


def _narrow_dots(p: Ints, q: Ints, starts: Starts) -> list[int]:
    dots: list[int] = np.add.reduceat(p * q, starts).tolist()
    return dots


def _wide_sums(x: Unsigned, starts: Starts) -> list[int]:
    sums = [np.add.reduceat(limb, starts).tolist() for limb in _limbs(x)]
    return [(high << 32) + low for high, low in zip(*sums, strict=True)]


def _wide_dots(p: Ints, q: Ints, starts: Starts) -> list[int]:
    # Long multiplication in limbs of 32 bits. No number is negative, so each product, and the sum
    # of the two in the middle, fits in 64 bits without a sign.
    ph, pl = _limbs(p.view(np.uint64))
    qh, ql = _limbs(q.view(np.uint64))
    parts = [_wide_sums(x, starts) for x in (ph * qh, ph * ql + pl * qh, pl * ql)]
    return [(high << 64) + (middle << 32) + low for high, middle, low in zip(*parts, strict=True)]


def _limbs(x: Unsigned) -> tuple[Unsigned, Unsigned]:
    return x >> _LIMB_BITS, x & _LIMB
