"""What a strategy says: a side, why, and on which kline."""

from dataclasses import dataclass, field
from enum import StrEnum

from core.market.intervals import Interval


class Side(StrEnum):
    """The position that a signal advises."""

    LONG = "long"
    SHORT = "short"
    FLAT = "flat"


@dataclass(frozen=True, slots=True)
class Signal:
    """One advice of one strategy instance; it places no order.

    Attributes:
        key: The instrument's key.
        strategy: The strategy's registered name, ``rsi_reversal``.
        instance: The instance that said it (the name when nobody named it otherwise).
        open_us: Start of the kline that caused it.
        close_us: Last microsecond of that kline: the signal's own time.
        price: That kline's close as exact text.
        reason: For people: numbers included.
        values: Indicator values behind it, as (name, value).
        seq: Data position at which it was emitted; rises within the instrument.

    """

    key: str
    interval: Interval
    strategy: str
    instance: str
    side: Side
    open_us: int
    close_us: int
    price: str
    reason: str
    values: tuple[tuple[str, float], ...] = field(default=())
    seq: int = 0
