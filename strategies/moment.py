"""A place in the trades to which a signal belongs."""

from typing import NamedTuple

from core.market.decimals import to_text
from core.market.intervals import Interval
from core.market.kline import Measure
from core.market.trades import Trades


class Moment(NamedTuple):
    """A trade, as far as a signal tells of it; what a strategy gets from `at`.

    Attributes:
        open_us: Start of the window that the trade is in.
        close_us: The trade's time: the signal's own.
        row: Its row in the batch.

    """

    key: str
    interval: Interval
    open_us: int
    close_us: int
    price: str
    row: int

    def text(self, _measure: Measure) -> str:
        """Return its price: of a trade there is no other."""
        return self.price


def moment_of(trades: Trades, row: int, interval: Interval) -> Moment:
    """Return the moment of a row; negative ones count from the end."""
    at = range(len(trades))[row]
    time_us = int(trades.time_us[at])
    price = to_text(int(trades.price[at]), trades.price_scale)
    return Moment(trades.key, interval, interval.open_of(time_us), time_us, price, at)
