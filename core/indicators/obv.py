"""On-balance volume."""

from core.indicators.base import HIGH, Scalar
from core.indicators.composed import Composed
from core.indicators.pieces import Lag, Piece, Total


class Obv(Composed[float], Scalar):
    """Sum of the volume of all klines that closed higher, less that of all that closed lower.

    Variant: begins with the first kline's volume, as in TA-Lib. It stays while nothing moves. The
    sum keeps beside it what rounding takes off, so it does not drift however long it runs.

    Its level says from where it was counted and never forgets that (`settles` is False): compare
    it with its own past. The changes are right from the second kline on.

    References:
        Joseph E. Granville, *Granville's New Key to Stock Market Profits*, 1963.

    >>> obv = Obv()
    >>> klines = ((10.0, 5.0), (11.0, 2.0), (11.0, 9.0), (10.5, 3.0))
    >>> [obv.update(close, volume) for close, volume in klines]
    [5.0, 7.0, 7.0, 4.0]

    """

    __slots__ = ("_last", "_total")

    name = "obv"
    inputs = ("close", "volume")
    settles = False

    def __init__(self) -> None:
        self._total, self._last = Total(), Lag(1)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """None."""
        return ()

    @property
    def lookback(self) -> int:
        """One."""
        return 1

    @property
    def convergence(self) -> int:
        """Two: then the changes no longer depend on the beginning; the level always does."""
        return 2

    def update(self, close: float, volume: float) -> float | None:
        """Take those of the next final kline; return the sum."""
        if not (0.0 <= close < HIGH and 0.0 <= volume < HIGH):
            raise self._contradiction(close, volume)
        last = self._last.push(close)
        return self._say(self._total.push(_signed(close, last, volume)))

    def peek(self, close: float, volume: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not (0.0 <= close < HIGH and 0.0 <= volume < HIGH):
            raise self._contradiction(close, volume)
        return self._total.peek(_signed(close, self._last.peek(), volume))

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._total, self._last)


def _signed(close: float, last: float | None, volume: float) -> float:
    if last is None or close > last:
        return volume
    return -volume if close < last else 0.0
