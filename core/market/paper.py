"""What the paper portfolio says: what a signal would have bought or sold, and what came of it.

All amounts are exact decimals: prices and money in the quote asset, quantities in the base asset.
An account is one strategy instance on one instrument; `TOTAL` in place of its name means all
accounts of the instrument together.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from core.market.decimals import EXACT

TOTAL = "*"


@dataclass(frozen=True, slots=True)
class Fill:
    """A purchase or sale that nobody made.

    Attributes:
        key: The instrument's key.
        time_us: When: the trade's time, or the start of the kline, whose price it took; the end of
            the kline at whose close a bankrupt account is closed.
        seq: Data position; rises within the instrument.
        instance: The instance whose signal it follows.
        strategy: Its strategy.
        interval: Name of the interval of its klines.
        side: ``buy`` or ``sell``.
        price: Price paid, slippage included.
        quantity: Always positive.
        fee: Paid in the quote asset.
        position: Base asset held afterwards; negative: owed.
        entry: Average price of that position; 0 where there is none.
        realised: Profit that this fill realised, before its fee.
        cash: Quote asset held afterwards.
        signal_seq: Position of the signal, the last one where it was closed without one.
        reason: The signal's, or why it was closed without one.

    """

    key: str
    time_us: int
    seq: int
    instance: str
    strategy: str
    interval: str
    side: Literal["buy", "sell"]
    price: Decimal
    quantity: Decimal
    fee: Decimal
    position: Decimal
    entry: Decimal
    realised: Decimal
    cash: Decimal
    signal_seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Equity:
    """What an account is worth at the end of a kline.

    Attributes:
        key: The instrument's key.
        time_us: Last microsecond of the kline.
        seq: Data position; rises within the instrument.
        instance: The account's instance, or `TOTAL`.
        strategy: Its strategy; empty for a total.
        interval: Name of the kline's interval.
        price: The kline's close, at which the position is valued.
        position: Base asset held; negative: owed.
        cash: Quote asset held.
        equity: Cash and position together.
        realised: Profit realised so far, before fees.
        unrealised: Profit that the open position would bring at `price`.
        fees: Paid so far.
        peak: Highest equity so far; ``equity - peak`` is the drawdown. That of a total rises by the
            cash of an account that joins, so that joining is no profit.
        fills: Number of fills so far.

    """

    key: str
    time_us: int
    seq: int
    instance: str
    strategy: str
    interval: str
    price: Decimal
    position: Decimal
    cash: Decimal
    equity: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    peak: Decimal
    fills: int

    @property
    def drawdown(self) -> Decimal:
        """How far below its peak, in the quote asset; never positive."""
        return EXACT.subtract(self.equity, self.peak)
