"""Volume-weighted average price of the last n klines."""

from core.indicators.base import HIGH, Scalar, whole
from core.indicators.composed import Composed
from core.indicators.pieces import Piece, Rolled
from core.indicators.window import Window


class Vwap(Composed[float], Scalar):
    """What a unit cost on average in the last `period` klines: quote volume by volume.

    Variant: exact, for the quote volume is the sum of price times quantity over all trades; where
    only prices are known (TA-Lib and most charts) the typical price stands in for it. Where nothing
    was traded in the whole window it is the close.

    Args:
        period: At least 1.

    References:
        Stephen A. Berkowitz, Dennis E. Logue and Eugene A. Noser, "The Total Cost of Transactions
        on the NYSE", *Journal of Finance* 43, 1988.

    >>> vwap = Vwap(2)
    >>> klines = ((3.0, 4.0, 2.0), (5.0, 10.0, 2.0), (5.0, 0.0, 0.0), (5.0, 0.0, 0.0))
    >>> [vwap.update(close, quote, volume) for close, quote, volume in klines]
    [None, 3.5, 5.0, 5.0]

    """

    __slots__ = ("_quote", "_volume", "period")

    name = "vwap"
    inputs = ("close", "quote_volume", "volume")

    def __init__(self, period: int = 20) -> None:
        self.period = whole(self.name, "period", period)
        self._quote, self._volume = Rolled(Window, period), Rolled(Window, period)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """The period."""
        return self.period

    @property
    def convergence(self) -> int:
        """The period: the value depends on nothing else, to the bit."""
        return self.period

    def update(self, close: float, quote_volume: float, volume: float) -> float | None:
        """Take those of the next final kline; return the price, or None until known."""
        if not (0.0 <= close < HIGH and 0.0 <= quote_volume < HIGH and 0.0 <= volume < HIGH):
            raise self._contradiction(close, quote_volume, volume)
        quote, base = self._quote.push(quote_volume), self._volume.push(volume)
        if quote is None or base is None:
            return None
        return self._say(quote / base if base else close)

    def peek(self, close: float, quote_volume: float, volume: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not (0.0 <= close < HIGH and 0.0 <= quote_volume < HIGH and 0.0 <= volume < HIGH):
            raise self._contradiction(close, quote_volume, volume)
        quote, base = self._quote.peek(quote_volume), self._volume.peek(volume)
        if quote is None or base is None:
            return None
        return quote / base if base else close

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._quote, self._volume)
