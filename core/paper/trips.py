"""Fills → round trips: each position from the fill that opened it to the one that closed it. Pure.

A position is of one fill, so a trip has one entry and one exit. A fill that turns a position round
ends one trip and begins the next; its fee is shared between them by their quantities.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from core.market.decimals import exact, units_at
from core.market.paper import Fill
from core.paper.rules import MONEY, PLACES


@dataclass(frozen=True, slots=True)
class Trip:
    """A position from its beginning to its end; all amounts are exact.

    Attributes:
        quantity: Of the base asset, positive.
        entry_us: When it was opened.
        entry: Price paid, slippage included.
        exit_us: When it was closed; 0: it is still open.
        exit: Price got; of one that is open, that at which it is valued.
        fees: Its share of both fills' fees.
        profit: What it brought, after fees; of one that is open, what it would bring, less the fee
            of its entry.
        why: Reason of the signal that opened it.
        why_closed: Reason of the signal that closed it.

    """

    side: Literal["long", "short"]
    quantity: Decimal
    entry_us: int
    entry: Decimal
    exit_us: int
    exit: Decimal
    fees: Decimal
    profit: Decimal
    why: str
    why_closed: str

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return not self.exit_us

    @property
    def gain(self) -> float:
        """Profit as a fraction of what was paid at the entry."""
        return float(self.profit / (self.entry * self.quantity))


def trips_of(fills: Iterable[Fill], price: Decimal | None = None) -> list[Trip]:
    """Return the trips of one account, oldest first.

    Args:
        fills: All fills of the account, in their order.
        price: At which a position that is still open is valued; None: at its entry.

    """
    trips: list[Trip] = []
    begun: Trip | None = None
    held = 0
    for fill in fills:
        now, fee = units_at(fill.position, PLACES), units_at(fill.fee, MONEY)
        closing = fee * abs(held) // (abs(held) + abs(now)) if begun is not None else 0
        if begun is not None:
            ended = replace(begun, exit_us=fill.time_us, why_closed=fill.reason)
            trips.append(_valued(ended, fill.price, closing))
        begun = _begun(fill, now, fee - closing) if now else None
        held = now
    if begun is not None:
        trips.append(_valued(begun, begun.entry if price is None else price, 0))
    return trips


def _begun(fill: Fill, position: int, fee: int) -> Trip:
    return Trip(
        side="long" if position > 0 else "short",
        quantity=exact(abs(position), PLACES),
        entry_us=fill.time_us,
        entry=fill.price,
        exit_us=0,
        exit=fill.price,
        fees=exact(fee, MONEY),
        profit=Decimal(0),
        why=fill.reason,
        why_closed="",
    )


def _valued(trip: Trip, price: Decimal, fee: int) -> Trip:
    fees = units_at(trip.fees, MONEY) + fee
    moved = units_at(price, PLACES) - units_at(trip.entry, PLACES)
    sign = 1 if trip.side == "long" else -1
    profit = sign * moved * units_at(trip.quantity, PLACES) - fees
    return replace(trip, exit=price, fees=exact(fees, MONEY), profit=exact(profit, MONEY))
