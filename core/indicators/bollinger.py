"""Bollinger bands."""

from math import sqrt
from typing import NamedTuple

from core.indicators.base import HIGH, LOW, Several, positive, whole
from core.indicators.window import SquareWindow


class BollingerValue(NamedTuple):
    """The simple mean, and the bands around it."""

    upper: float
    middle: float
    lower: float


class Bollinger(Several[BollingerValue]):
    """Simple mean of the last `period` numbers, plus and minus `width` standard deviations.

    Variant: the deviation is the population's (divided by n), as in Bollinger's book and TA-Lib;
    both bands lie on the mean while nothing moves. `PercentB` and `Bandwidth` go with it.

    The deviation comes from exact sums (`core.indicators.window`), so a noise of 1e-4 on a price of
    60,000 is measured as well as any other, and the value depends on the last `period` numbers
    alone, to the bit.

    Args:
        period: At least 2.
        width: Distance of the bands in standard deviations, more than 0.

    References:
        John Bollinger, *Bollinger on Bollinger Bands*, 2001.

    >>> bands = Bollinger(4, 2.0)
    >>> [bands.update(x) for x in (1.0, 3.0, 3.0, 1.0)][-1]
    BollingerValue(upper=4.0, middle=2.0, lower=0.0)
    >>> bands.peek(1.0).middle, bands.value.middle
    (2.0, 2.0)
    >>> noisy = Bollinger(2, 1.0)
    >>> [noisy.update(x) for x in (60000.0, 60000.0009765625)][-1].upper
    60000.0009765625

    """

    __slots__ = ("_seen", "_window", "period", "width")

    name = "bollinger"
    parts = BollingerValue._fields

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.period = whole(self.name, "period", period, least=2)
        self.width = positive(self.name, "width", width)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period and the width."""
        return (self.period, self.width)

    @property
    def lookback(self) -> int:
        """The period."""
        return self.period

    @property
    def convergence(self) -> int:
        """The period: the value depends on nothing else, to the bit."""
        return self.period

    def update(self, x: float) -> BollingerValue | None:
        """Take the next final number; return the bands, or None until there are `period`."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        middle, variance = self._window.push_both(x)
        if self._seen < self.period:
            self._seen += 1
            if self._seen < self.period:
                return None
        spread = self.width * sqrt(variance)
        self.previous = self.value
        # Half the time of calling BollingerValue, whose own __new__ does just this.
        self.value = value = tuple.__new__(
            BollingerValue, (middle + spread, middle, middle - spread)
        )
        return value

    def peek(self, x: float) -> BollingerValue | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        if self._seen + 1 < self.period:
            return None
        middle, variance = self._window.peek_both(x)
        spread = self.width * sqrt(variance)
        return BollingerValue(middle + spread, middle, middle - spread)

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self.value = self.previous = None
        self._seen = 0
        self._window = SquareWindow(self.period)

    def _state(self) -> tuple[float, ...]:
        return (self._seen, *self._window.numbers()[self.period - self._seen :])

    def _load(self, state: tuple[float, ...]) -> None:
        seen, *numbers = state
        if len(numbers) != seen or seen > self.period:
            raise ValueError(seen)
        for x in numbers:
            self._window.push_both(x)
        self._seen = len(numbers)

    def _made(self, numbers: tuple[float, ...]) -> BollingerValue:
        return BollingerValue(*numbers)
