"""The unit of flow: a batch of trades of one instrument, in columns.

Live, a batch is whatever arrived since the last poll; in replay it is tens of thousands of rows.
Everything behind a source works on this, so there is one code path and one speed.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.market.decimals import to_text

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Columns of equal length n, in id order.

    A row is a trade, or, where an exchange gives only these, an aggregate (`first_id`..`last_id`
    then name the trades it stands for). A row of price 0 or quantity 0 is the exchange's
    bookkeeping: it keeps its id but is no trade (`is_trade`).

    Attributes:
        key: The instrument's key, ``binance:BTCUSDT``.
        price_scale: Decimal places of `price`.
        quantity_scale: Decimal places of `quantity`.
        id: Trade id (aggregate id for aggregates); int64.
        time_us: Trade time ``T``, microseconds since the epoch; int64.
        price: Units of ``10**-price_scale``; int64.
        quantity: Units of ``10**-quantity_scale``; int64.
        buyer_is_maker: True where the taker sold; bool.
        first_id: First trade id of each aggregate; None when rows are trades.
        last_id: Last trade id of each aggregate; None when rows are trades.
        repaired: Whether the rows came by REST instead of the live stream.

    """

    key: str
    price_scale: int
    quantity_scale: int
    id: Ints
    time_us: Ints
    price: Ints
    quantity: Ints
    buyer_is_maker: Bools
    first_id: Ints | None = None
    last_id: Ints | None = None
    repaired: bool = False

    def __len__(self) -> int:
        return len(self.id)

    @property
    def is_aggregate(self) -> bool:
        """Whether rows are aggregates of several trades."""
        return self.first_id is not None

    @property
    def first_ids(self) -> Ints:
        """First trade id of each row."""
        return self.id if self.first_id is None else self.first_id

    @property
    def last_ids(self) -> Ints:
        """Last trade id of each row."""
        return self.id if self.last_id is None else self.last_id

    @property
    def is_trade(self) -> Bools:
        """False where price or quantity is 0: exchange bookkeeping that is in no kline."""
        real: Bools = (self.price > 0) & (self.quantity > 0)
        return real

    def take(self, index: "slice | Ints | Bools") -> "Trades":
        """Return the rows that `index` selects."""
        return replace(
            self,
            id=self.id[index],
            time_us=self.time_us[index],
            price=self.price[index],
            quantity=self.quantity[index],
            buyer_is_maker=self.buyer_is_maker[index],
            first_id=None if self.first_id is None else self.first_id[index],
            last_id=None if self.last_id is None else self.last_id[index],
        )

    def rescaled(self, price_scale: int, quantity_scale: int) -> "Trades":
        """Return the same trades at scales that are at least as fine."""
        if (price_scale, quantity_scale) == (self.price_scale, self.quantity_scale):
            return self
        return replace(
            self,
            price_scale=price_scale,
            quantity_scale=quantity_scale,
            price=self.price * 10 ** (price_scale - self.price_scale),
            quantity=self.quantity * 10 ** (quantity_scale - self.quantity_scale),
        )

    def rows(self) -> list[tuple[int, int, str, str, bool]]:
        """Return (id, time_us, price, quantity, buyer_is_maker) per row, decimals as exact text."""
        ps, qs = self.price_scale, self.quantity_scale
        return [
            (i, t, to_text(p, ps), to_text(q, qs), m)
            for i, t, p, q, m in zip(
                self.id.tolist(),
                self.time_us.tolist(),
                self.price.tolist(),
                self.quantity.tolist(),
                self.buyer_is_maker.tolist(),
                strict=True,
            )
        ]


def concat(batches: list[Trades]) -> Trades:
    """Return one batch of all rows, at the finest scales among them; one key, one kind of row."""
    if len(batches) == 1:
        return batches[0]
    ps = max(b.price_scale for b in batches)
    qs = max(b.quantity_scale for b in batches)
    parts = [b.rescaled(ps, qs) for b in batches]
    aggregate = parts[0].is_aggregate
    return replace(
        parts[0],
        id=np.concatenate([b.id for b in parts]),
        time_us=np.concatenate([b.time_us for b in parts]),
        price=np.concatenate([b.price for b in parts]),
        quantity=np.concatenate([b.quantity for b in parts]),
        buyer_is_maker=np.concatenate([b.buyer_is_maker for b in parts]),
        first_id=np.concatenate([b.first_ids for b in parts]) if aggregate else None,
        last_id=np.concatenate([b.last_ids for b in parts]) if aggregate else None,
    )
