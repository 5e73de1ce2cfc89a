"""Rows in, columnar batches out: what a tape appends to and a source drains."""

from functools import lru_cache

import numpy as np

from core.market import decimals
from core.market.errors import DecimalError
from core.market.trades import Trades

Row = tuple[int, int, str, str, bool, int, int]
"""(id, time_us, price, quantity, buyer_is_maker, first_id, last_id) as it came from the wire."""

_POWERS = [10**n for n in range(19)]
_LIMIT = 10**decimals.MAX_DIGITS

# Prices and sizes repeat; a hit costs a twentieth of a parse.
_units = lru_cache(maxsize=1 << 16)(decimals.parse)


class Columns:
    """Collects trades of one instrument; its scales grow when a finer number comes.

    A growth closes the batch, so each row stands in a batch whose scales depend only on the rows
    up to it, never on when somebody drained.
    """

    __slots__ = (
        "_aggregate", "_done", "_first", "_id", "_key", "_last", "_maker", "_price", "_quantity",
        "_repaired", "_time", "price_scale", "quantity_scale",
    )  # fmt: skip

    def __init__(self, key: str, price_scale: int, quantity_scale: int) -> None:
        self._key = key
        self.price_scale, self.quantity_scale = price_scale, quantity_scale
        self._aggregate = False
        self._repaired = False
        self._done: list[Trades] = []
        self._clear()

    def __len__(self) -> int:
        return len(self._id) + sum(map(len, self._done))

    def append(self, row: Row, *, aggregate: bool, repaired: bool) -> None:
        """Add one row, or raise `DecimalError` and add nothing."""
        price, price_places = _units(row[2])
        quantity, quantity_places = _units(row[3])
        if price_places > self.price_scale or quantity_places > self.quantity_scale:
            self._grow(price_places, quantity_places)
        price *= _POWERS[self.price_scale - price_places]
        quantity *= _POWERS[self.quantity_scale - quantity_places]
        if price >= _LIMIT or quantity >= _LIMIT:
            raise DecimalError(f"{row[2]} x {row[3]}", "too large at the instrument's scale")
        if repaired is not self._repaired or aggregate is not self._aggregate:
            self._close()
            self._repaired, self._aggregate = repaired, aggregate
        self._id.append(row[0])
        self._time.append(row[1])
        self._price.append(price)
        self._quantity.append(quantity)
        self._maker.append(row[4])
        if aggregate:
            self._first.append(row[5])
            self._last.append(row[6])

    def drain(self) -> list[Trades]:
        """Return the batches collected so far and begin anew."""
        self._close()
        done, self._done = self._done, []
        return done

    def _grow(self, price_places: int, quantity_places: int) -> None:
        self._close()
        self.price_scale = max(self.price_scale, price_places)
        self.quantity_scale = max(self.quantity_scale, quantity_places)

    def _close(self) -> None:
        if not self._id:
            return
        self._done.append(
            Trades(
                key=self._key,
                price_scale=self.price_scale,
                quantity_scale=self.quantity_scale,
                id=np.array(self._id, np.int64),
                time_us=np.array(self._time, np.int64),
                price=np.array(self._price, np.int64),
                quantity=np.array(self._quantity, np.int64),
                buyer_is_maker=np.array(self._maker, np.bool_),
                first_id=np.array(self._first, np.int64) if self._aggregate else None,
                last_id=np.array(self._last, np.int64) if self._aggregate else None,
                repaired=self._repaired,
            )
        )
        self._clear()

    def _clear(self) -> None:
        self._id: list[int] = []
        self._time: list[int] = []
        self._price: list[int] = []
        self._quantity: list[int] = []
        self._maker: list[bool] = []
        self._first: list[int] = []
        self._last: list[int] = []
