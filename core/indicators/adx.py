"""Directional movement: +DI, -DI, and the average directional index."""

from typing import NamedTuple

from core.indicators.base import HIGH, Several, fading, whole

_STILL = 1e-280
"""A sum of true ranges that has faded to this is none: below it float64 loses its digits."""

_NOISE = 1e-14
"""Relative to the price: what rounding may leave between two moves that are equal as decimals."""


class AdxValue(NamedTuple):
    """Strength of the trend, and the shares of upward and downward movement; each 0 to 100."""

    adx: float
    plus: float
    minus: float


class _Past(NamedTuple):
    high: float = 0.0
    low: float = 0.0
    close: float = 0.0
    plus: float = 0.0
    minus: float = 0.0
    ranges: float = 0.0
    adx: float = 0.0


class Adx(Several[AdxValue]):
    """How much of the range goes upward or downward, and how one-sided that is on average.

    A kline's movement is what it adds to the range of the one before, above or below, whichever is
    more (none if equal). +DI and -DI are the faded sums of upward and of downward movement in
    percent of that of the true ranges; ADX is Wilder's mean of 100 |+DI - -DI| / (+DI + -DI).

    Variant: TA-Lib's: sums seeded with `period` - 1 klines and faded from then on, the mean with
    `period` values, no rounding to whole numbers as in the book. But movements that are equal as
    decimals count as equal, and not by what rounding leaves of them.

    While nothing moves all stay; before anything has moved they are 0. (TA-Lib says 0 also where
    the sum of true ranges is below 1e-14, which cheap symbols reach by a few quiet hours; here only
    where it is below 1e-280.)

    After `convergence` klines the sums of two instances differ by at most `CONVERGED` times the
    largest range before, and the values in proportion to the current range.

    Args:
        period: At least 2.

    References:
        J. Welles Wilder, *New Concepts in Technical Trading Systems*, 1978, section IV.

    >>> adx = Adx(2)
    >>> klines = ((4.0, 2.0, 3.0), (6.0, 4.0, 6.0), (7.0, 5.0, 5.0), (8.0, 4.0, 8.0))
    >>> [adx.update(high, low, close) for high, low, close in klines][2:]
    [None, AdxValue(adx=100.0, plus=17.391304347826086, minus=0.0)]
    >>> adx.lookback, Adx().convergence
    (4, 774)

    """

    __slots__ = ("_past", "_seen", "period")

    name = "adx"
    parts = AdxValue._fields
    inputs = ("high", "low", "close")

    def __init__(self, period: int = 14) -> None:
        self.period = whole(self.name, "period", period, least=2)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """Twice the period: the sums take it once, the mean of what follows from them again."""
        return 2 * self.period

    @property
    def convergence(self) -> int:
        """Lookback, until the sums have forgotten, and then until the mean has."""
        return self.lookback + 2 * fading(1.0 - 1.0 / self.period)

    def update(self, high: float, low: float, close: float) -> AdxValue | None:
        """Take those of the next final kline; return the value, or None until known."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        self._past, value = self._step(high, low, close)
        if self._seen < self.lookback:
            self._seen += 1
        return None if value is None else self._say(value)

    def peek(self, high: float, low: float, close: float) -> AdxValue | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= close <= high < HIGH:
            raise self._contradiction(high, low, close)
        return self._step(high, low, close)[1]

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self.value = self.previous = None
        self._seen = 0
        self._past = _Past()

    def _step(self, high: float, low: float, close: float) -> tuple[_Past, AdxValue | None]:
        past, period, seen = self._past, self.period, self._seen
        if not seen:
            return _Past(high, low, close), None
        up, down = high - past.high, past.low - low
        plus, minus, ranges, adx = past[3:]
        if seen >= period:
            plus -= plus / period
            minus -= minus / period
            ranges -= ranges / period
        noise = _NOISE * high
        if up > down + noise and up > 0.0:
            plus += up
        elif down > up + noise and down > 0.0:
            minus += down
        ranges += max(high, past.close) - min(low, past.close)
        if seen >= period:
            adx = self._mean(adx, plus, minus)
        # Half the time of calling the classes, whose own __new__ does just this.
        now = tuple.__new__(_Past, (high, low, close, plus, minus, ranges, adx))
        if seen < 2 * period - 1:
            return now, None
        percent = 100.0 / ranges if ranges > _STILL else 0.0
        return now, tuple.__new__(AdxValue, (adx, plus * percent, minus * percent))

    def _mean(self, adx: float, plus: float, minus: float) -> float:
        # Until the first value: the sum of those it is the mean of.
        period, seen, moved = self.period, self._seen, plus + minus
        index = 100.0 * (abs(plus - minus) / moved) if moved > _STILL else None
        if seen < 2 * period - 1:
            return adx + (index or 0.0)
        if seen == 2 * period - 1:
            return (adx + (index or 0.0)) / period
        return adx if index is None else (adx * (period - 1) + index) / period

    def _state(self) -> tuple[float, ...]:
        return (self._seen, *self._past)

    def _load(self, state: tuple[float, ...]) -> None:
        seen, *past = state
        self._past = _Past._make(past)
        self._seen = int(seen)

    def _made(self, numbers: tuple[float, ...]) -> AdxValue:
        return AdxValue(*numbers)
