"""Money flow index."""

from core.indicators.base import HIGH, Scalar, whole
from core.indicators.composed import Composed
from core.indicators.pieces import Lag, Piece, Rolled
from core.indicators.window import Window

_NOISE = 1e-14
"""Of two typical prices: what rounding may leave between equal ones, relative to their sum."""


class Mfi(Composed[float], Scalar):
    """Share of the money that flowed in as the price rose, of the last `period` klines; 0 to 100.

    The money is the typical price (high + low + close) / 3 times the volume; it counts as inflow
    where the typical price rose, as outflow where it fell, and not where it stayed.

    Variant: TA-Lib's; 0 where no money flowed at all. The sums are exact.

    Args:
        period: At least 1.

    References:
        Gene Quong and Avrum Soudack, "Volume-Weighted RSI: Money Flow", *Technical Analysis of
        Stocks & Commodities*, March 1989.

    >>> mfi = Mfi(2)
    >>> klines = ((3.0, 9.0), (4.0, 3.0), (3.0, 4.0), (3.0, 5.0))
    >>> [mfi.update(price, price, price, volume) for price, volume in klines]
    [None, None, 50.0, 0.0]

    """

    __slots__ = ("_inflow", "_last", "_outflow", "period")

    name = "mfi"
    inputs = ("high", "low", "close", "volume")

    def __init__(self, period: int = 14) -> None:
        self.period = whole(self.name, "period", period)
        self._inflow, self._outflow = Rolled(Window, period), Rolled(Window, period)
        self._last = Lag(1)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """The period and one: the first kline has no direction."""
        return self.period + 1

    @property
    def convergence(self) -> int:
        """The lookback: the value depends on nothing else, to the bit."""
        return self.period + 1

    def update(self, high: float, low: float, close: float, volume: float) -> float | None:
        """Take those of the next final kline; return the index, or None until known."""
        if not (0.0 <= low <= close <= high < HIGH and 0.0 <= volume < HIGH):
            raise self._contradiction(high, low, close, volume)
        price = (high + low + close) / 3.0
        last = self._last.push(price)
        if last is None:
            return None
        rise, fall = _flows(price, last, volume)
        inflow, outflow = self._inflow.push(rise), self._outflow.push(fall)
        return None if inflow is None or outflow is None else self._say(_share(inflow, outflow))

    def peek(self, high: float, low: float, close: float, volume: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not (0.0 <= low <= close <= high < HIGH and 0.0 <= volume < HIGH):
            raise self._contradiction(high, low, close, volume)
        last = self._last.peek()
        if last is None:
            return None
        rise, fall = _flows((high + low + close) / 3.0, last, volume)
        inflow, outflow = self._inflow.peek(rise), self._outflow.peek(fall)
        return None if inflow is None or outflow is None else _share(inflow, outflow)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._inflow, self._outflow, self._last)


def _flows(price: float, last: float, volume: float) -> tuple[float, float]:
    move = price - last
    if abs(move) <= _NOISE * (price + last):
        return 0.0, 0.0
    flow = price * volume
    return (flow, 0.0) if move > 0.0 else (0.0, flow)


def _share(inflow: float, outflow: float) -> float:
    flow = inflow + outflow
    return 100.0 * (inflow / flow) if flow else 0.0
