"""What trades add up to: a monoid, whose sum does not depend on how its parts were cut or ordered.

That is why a batch may be folded whole, an hour may be folded from minutes, and a late trade may
be added to a window long after: the result is the same.
"""

from typing import NamedTuple

from core.market.kline import Kline


class Fold(NamedTuple):
    """What some trades of one instrument add up to, in units of scales that the holder knows.

    Prices are in ``10**-price_scale``, volumes in ``10**-quantity_scale``, quote volumes in
    ``10**-(price_scale + quantity_scale)``; Python integers, so nothing can overflow. Of no trades
    (`EMPTY`) the ids are -1 and the prices have no meaning.
    """

    first_id: int = -1
    last_id: int = -1
    open: int = 0
    high: int = 0
    low: int = 0
    close: int = 0
    volume: int = 0
    quote_volume: int = 0
    trades: int = 0
    taker_buy_volume: int = 0
    taker_buy_quote_volume: int = 0


EMPTY = Fold()

# Klines of files have no ids. Theirs are made from the time: in order, and below all real ones.
_NO_IDS = 1 << 62


def merge(a: Fold, b: Fold) -> Fold:
    """Return what the trades of both, which share none, add up to; at equal scales.

    The open comes from the lower first id and the close from the higher last id: in the order of
    the ids, as the exchange has it, whatever the order of arrival.

    >>> early, late = Fold(1, 1, 50, 50, 50, 50, 2, 100, 1), Fold(2, 3, 40, 60, 40, 60, 5, 280, 2)
    >>> merge(late, early)[:9]
    (1, 3, 50, 60, 40, 60, 7, 380, 3)
    >>> merge(EMPTY, early) == merge(early, EMPTY) == early
    True
    """
    if a.last_id == -1:
        return b
    if b.last_id == -1:
        return a
    early = a if a.first_id <= b.first_id else b
    late = a if a.last_id >= b.last_id else b
    return Fold(
        early.first_id,
        late.last_id,
        early.open,
        max(a.high, b.high),
        min(a.low, b.low),
        late.close,
        a.volume + b.volume,
        a.quote_volume + b.quote_volume,
        a.trades + b.trades,
        a.taker_buy_volume + b.taker_buy_volume,
        a.taker_buy_quote_volume + b.taker_buy_quote_volume,
    )


def rescaled(fold: Fold, price: int, quantity: int) -> Fold:
    """Return the same sums in units finer by the factors `price` and `quantity` (powers of ten)."""
    return Fold(
        fold.first_id,
        fold.last_id,
        fold.open * price,
        fold.high * price,
        fold.low * price,
        fold.close * price,
        fold.volume * quantity,
        fold.quote_volume * price * quantity,
        fold.trades,
        fold.taker_buy_volume * quantity,
        fold.taker_buy_quote_volume * price * quantity,
    )


def fold_of(kline: Kline) -> Fold:
    """Return what the trades behind a kline add up to; `EMPTY` when there are none."""
    if not kline.trades and not kline.volume_units:
        return EMPTY
    known = kline.last_id >= 0
    return Fold(
        kline.first_id if known else kline.open_us - _NO_IDS,
        kline.last_id if known else kline.open_us - _NO_IDS,
        kline.open_units,
        kline.high_units,
        kline.low_units,
        kline.close_units,
        kline.volume_units,
        kline.quote_volume_units,
        kline.trades,
        kline.taker_buy_volume_units,
        kline.taker_buy_quote_volume_units,
    )
