"""Rolling volatility."""

from math import log, log1p, sqrt

from core.indicators.base import HIGH, IndicatorError, Scalar, positive, whole
from core.indicators.composed import Composed
from core.indicators.deviation import SpreadWindow
from core.indicators.pieces import Lag, Piece, Rolled


class Volatility(Composed[float], Scalar):
    """Standard deviation of the last `period` logarithmic returns, ln(x / x before).

    Variant: divided by n - `ddof`, 1 by default (the unbiased variance); times the root of
    `per_year` where that is given. The deviation comes from exact sums, and small returns from
    log1p, which keeps their digits. 0 while nothing moves.

    Args:
        period: Returns, at least 2 and more than `ddof`.
        ddof: What the number of returns is reduced by: 1 for a sample, 0 for all there are.
        per_year: Numbers in a year, to annualise: 525,600 minutes, 8,760 hours, 365 days.

    References:
        John C. Hull, *Options, Futures, and Other Derivatives*, chapter on the Black-Scholes
        model: estimating volatility from historical data.

    Raises:
        IndicatorError: A price is not above 0: it has no logarithm.

    >>> volatility = Volatility(2)
    >>> [volatility.update(x) for x in (100.0, 110.0, 100.0)]
    [None, None, 0.13478894891149448]
    >>> hourly = Volatility(2, per_year=8760.0)
    >>> [hourly.update(x) for x in (100.0, 110.0, 100.0)][-1]
    12.615554373800206

    """

    __slots__ = ("_factor", "_last", "_spread", "ddof", "per_year", "period")

    name = "volatility"

    def __init__(self, period: int = 20, ddof: int = 1, per_year: float = 1.0) -> None:
        self.period = whole(self.name, "period", period, least=2)
        self.ddof = whole(self.name, "ddof", ddof, least=0)
        self.per_year = positive(self.name, "per_year", per_year)
        if ddof >= period:
            raise IndicatorError(self.name, f"ddof `{ddof}` must be less than period `{period}`")
        self._factor = sqrt(period / (period - ddof) * self.per_year)
        self._spread, self._last = Rolled(SpreadWindow, period), Lag(1)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period, the reduction of it, and the numbers in a year."""
        return (self.period, self.ddof, self.per_year)

    @property
    def lookback(self) -> int:
        """The period and one: it takes `period` returns."""
        return self.period + 1

    @property
    def convergence(self) -> int:
        """The lookback: the value depends on nothing else, to the bit."""
        return self.period + 1

    def update(self, x: float) -> float | None:
        """Take the next final number; return the deviation, or None until there are `period`."""
        if not 0.0 < x < HIGH:
            raise self._refusal(x)
        last = self._last.push(x)
        spread = None if last is None else self._spread.push(_return(x, last))
        return None if spread is None else self._say(spread * self._factor)

    def peek(self, x: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 < x < HIGH:
            raise self._refusal(x)
        last = self._last.peek()
        spread = None if last is None else self._spread.peek(_return(x, last))
        return None if spread is None else spread * self._factor

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._spread, self._last)


def _return(x: float, last: float) -> float:
    # Within a factor of two the difference is exact, and beyond it the quotient could overflow.
    return log1p((x - last) / last) if 0.5 < x / last < 2.0 else log(x) - log(last)
