"""One kline: exact inside, floats for those who compute, text for those who store."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from core.market.decimals import to_text
from core.market.intervals import Interval

Measure = Literal[
    "open", "high", "low", "close",
    "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume",
]  # fmt: skip

PRICES: tuple[Measure, ...] = ("open", "high", "low", "close")
VOLUMES: tuple[Measure, ...] = ("volume", "taker_buy_volume")
QUOTE_VOLUMES: tuple[Measure, ...] = ("quote_volume", "taker_buy_quote_volume")
MEASURES: tuple[Measure, ...] = (*PRICES, *VOLUMES, *QUOTE_VOLUMES)


class Status(StrEnum):
    """Whether a kline may still change."""

    FORMING = "forming"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Kline:
    """A window's open, high, low, close and sums, as Binance defines them.

    The ``…_units`` are exact: prices in ``10**-price_scale``, volumes in ``10**-quantity_scale``,
    quote volumes in ``10**-(price_scale + quantity_scale)``. An empty window has `trades` 0,
    `first_id` and `last_id` -1, and open = high = low = close = the previous close.

    Attributes:
        open_us: Start of the window, microseconds since the epoch.
        close_us: Its last microsecond (the exchange's ``…999`` close time, in microseconds).
        complete: No gap inside, and its start was witnessed.
        revision: 0, then +1 each time a final kline is issued again.
        seq: Data position at which it was emitted; rises within the instrument.

    """

    key: str
    interval: Interval
    open_us: int
    close_us: int
    price_scale: int
    quantity_scale: int
    open_units: int
    high_units: int
    low_units: int
    close_units: int
    volume_units: int
    quote_volume_units: int
    trades: int
    taker_buy_volume_units: int
    taker_buy_quote_volume_units: int
    first_id: int
    last_id: int
    status: Status = Status.FINAL
    complete: bool = True
    revision: int = 0
    seq: int = 0

    @property
    def open(self) -> float:
        """Price of the first trade."""
        return float(self.open_units / 10**self.price_scale)

    @property
    def high(self) -> float:
        """Highest price."""
        return float(self.high_units / 10**self.price_scale)

    @property
    def low(self) -> float:
        """Lowest price."""
        return float(self.low_units / 10**self.price_scale)

    @property
    def close(self) -> float:
        """Price of the last trade."""
        return float(self.close_units / 10**self.price_scale)

    @property
    def volume(self) -> float:
        """Base asset traded."""
        return float(self.volume_units / 10**self.quantity_scale)

    @property
    def quote_volume(self) -> float:
        """Quote asset traded: the sum of price times quantity."""
        return float(self.quote_volume_units / 10 ** (self.price_scale + self.quantity_scale))

    @property
    def taker_buy_volume(self) -> float:
        """Base asset that takers bought."""
        return float(self.taker_buy_volume_units / 10**self.quantity_scale)

    @property
    def open_ms(self) -> int:
        """Start of the window in milliseconds, as Binance prints it."""
        return self.open_us // 1000

    @property
    def close_ms(self) -> int:
        """Last millisecond of the window, as Binance prints it."""
        return self.close_us // 1000

    @property
    def symbol(self) -> str:
        """The symbol without its exchange."""
        return self.key.partition(":")[2]

    def scale_of(self, measure: Measure) -> int:
        """Return the decimal places of a measure's units."""
        if measure in PRICES:
            return self.price_scale
        if measure in VOLUMES:
            return self.quantity_scale
        return self.price_scale + self.quantity_scale

    def text(self, measure: Measure) -> str:
        """Return a measure as exact canonical text."""
        units: int = getattr(self, f"{measure}_units")
        return to_text(units, self.scale_of(measure))

    def exact(self, measure: Measure) -> Decimal:
        """Return a measure as an exact decimal."""
        units: int = getattr(self, f"{measure}_units")
        return Decimal(units).scaleb(-self.scale_of(measure))
