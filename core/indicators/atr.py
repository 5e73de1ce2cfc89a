"""Average true range."""

from core.indicators.base import HIGH, Scalar, whole
from core.indicators.composed import Composed
from core.indicators.pieces import Lag, Piece
from core.indicators.rma import Rma


class Atr(Composed[float], Scalar):
    """Mean of the true ranges: how far the price goes within a kline, and from the one before.

    The true range is the largest of high - low, |high - close before| and |low - close before|.

    Variant: Wilder's mean, seeded with the simple mean of the first `period` true ranges; the
    first of them is that of the second kline (TA-Lib; others take the first one's high - low too).

    It fades to 0 while nothing moves. After `convergence` klines two instances differ by at most
    `CONVERGED` times the largest true range before.

    Args:
        period: At least 1.

    References:
        J. Welles Wilder, *New Concepts in Technical Trading Systems*, 1978, section III.

    >>> atr = Atr(2)
    >>> klines = ((4.0, 2.0, 3.0), (6.0, 4.0, 6.0), (6.0, 5.0, 5.0), (9.0, 7.0, 8.0))
    >>> [atr.update(high, low, close) for high, low, close in klines]
    [None, None, 2.0, 3.0]
    >>> atr.peek(8.0, 8.0, 8.0), atr.lookback, Atr().convergence
    (1.5, 3, 388)

    """

    __slots__ = ("_last", "_mean", "period")

    name = "atr"
    inputs = ("high", "low", "close")

    def __init__(self, period: int = 14) -> None:
        self.period = whole(self.name, "period", period)
        self._mean, self._last = Rma(period), Lag(1)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """The period and one: the first kline has no true range."""
        return self.period + 1

    @property
    def convergence(self) -> int:
        """That of Wilder's mean, and one."""
        return self._mean.convergence + 1

    def update(self, high: float, low: float, close: float) -> float | None:
        """Take those of the next final kline; return the mean, or None until known."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        last = self._last.push(close)
        if last is None:
            return None
        mean = self._mean.update(max(high, last) - min(low, last))
        return None if mean is None else self._say(mean)

    def peek(self, high: float, low: float, close: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        last = self._last.peek()
        return None if last is None else self._mean.peek(max(high, last) - min(low, last))

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._mean, self._last)
