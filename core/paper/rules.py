"""What an account pays and how much it takes, in whole numbers of stated units.

Prices and quantities are held in units of ``10**-9`` (`PLACES`), so their products, which all money
is made of, are whole numbers of ``10**-18`` (`MONEY`): no sum is ever rounded. Rounded are, always
against the account, the price with slippage (to 9 places), the fee (to 18), and a quantity (down to
the instrument's own places). The numbers do not depend on the scale at which data are held.
"""

from dataclasses import dataclass

from core.market.decimals import MAX_PLACES, units_at
from core.paper.config import PaperParams

PLACES = MAX_PLACES
"""Decimal places of prices and quantities."""
MONEY = 2 * PLACES
"""Decimal places of amounts of the quote asset, and of the sums that the lake stores."""

_RATE = 10**8  # a hundredth of a percent with four places more
_MOST = 10 ** (15 + MONEY)  # nobody holds this much; beyond it, sums would outgrow what is stored


@dataclass(frozen=True, slots=True)
class Rules:
    """The parameters of an account in units.

    Attributes:
        cash: What it begins with, in units of money.
        fee: In 10**-8 of what is traded.
        slippage: In 10**-8 of the price.
        fraction: Of the equity, in 10**-9; 0 where `amount` or `quantity` counts.
        amount: In units of money.
        quantity: In units of quantity.
        leverage: In hundredths.
        short: Whether it sells what it does not hold.
        at_open: Whether only the open of a kline is a price.

    """

    cash: int
    fee: int
    slippage: int
    fraction: int
    amount: int
    quantity: int
    leverage: int
    short: bool
    at_open: bool

    @classmethod
    def of(cls, params: PaperParams) -> "Rules":
        """Return the rules that parameters mean."""
        size = units_at(params.size, PLACES)
        return cls(
            cash=units_at(params.cash, MONEY),
            fee=units_at(params.fee_bps, 4),
            slippage=units_at(params.slippage_bps, 4),
            fraction=size if params.size_mode == "equity" else 0,
            amount=size * 10 ** (MONEY - PLACES) if params.size_mode == "quote" else 0,
            quantity=size if params.size_mode == "base" else 0,
            leverage=units_at(params.leverage, 2),
            short=params.short,
            at_open=params.fill == "open",
        )

    def paid(self, price: int, *, buys: bool) -> int:
        """Return the price with slippage: never 0, never better than `price`."""
        if buys:
            return -(-price * (_RATE + self.slippage) // _RATE)
        return max(1, price * (_RATE - self.slippage) // _RATE)

    def fee_of(self, value: int) -> int:
        """Return the fee on what is traded, both in units of money; never negative."""
        return -(-value * self.fee // _RATE)

    def size_of(self, equity: int, price: int, step: int) -> int:
        """Return how much a new position is, a multiple of `step`; 0 if it would be less than one.

        Position and fee together cost no more than the equity (times the leverage).
        """
        wanted = self.quantity
        if self.fraction:
            wanted = equity * self.fraction // (10**PLACES * price)
        elif self.amount:
            wanted = self.amount // price
        most = equity * self.leverage * _RATE // (100 * price * (_RATE + self.fee))
        found: int = min(wanted, most, _MOST // max(price, 10**PLACES))
        return max(0, found // step * step)
