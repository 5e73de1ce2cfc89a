"""Parabolic stop and reverse."""

from typing import NamedTuple

from core.indicators.base import HIGH, IndicatorError, Several, positive

_REACHED = 4e-15
"""Relative to the price: what rounding leaves between numbers that are equal as decimals. A tick is
a million times as much."""


class SarValue(NamedTuple):
    """The stop that was valid in this kline (after a turn: the new one), and the trend, 1 or -1."""

    stop: float
    trend: float


class _Past(NamedTuple):
    high: float
    low: float
    stop: float
    extreme: float
    pace: float
    trend: float


class ParabolicSar(Several[SarValue]):
    """A stop that closes in on the price the faster, the more new extremes the trend makes.

    With each kline it moves towards the extreme of the trend by a share, which begins with `step`,
    grows by `step` with each new extreme and ends with `most`; it never enters the range of the
    last two klines. A kline that reaches it turns the trend, and the stop goes to the extreme.

    Variant: TA-Lib's: the second kline begins with the first one's low as the stop, or with its
    high if downward movement (as in `Adx`) is the larger. A stop that equals a price as a decimal
    is reached; in TA-Lib rounding decides. While nothing moves the stop nears the extreme, and
    where it is at the price the trend turns with each kline.

    Where it began matters until two instances have turned at once, for which there is no bound
    (`settles` is False). `convergence` is 10 / `step` klines, 500 with the default; of 246 late
    beginnings in recorded minutes the slowest agreed after 144.

    Args:
        step: What the pace begins with and grows by, more than 0.
        most: The highest pace, at least `step`, at most 1.

    References:
        J. Welles Wilder, *New Concepts in Technical Trading Systems*, 1978, section II.

    >>> sar = ParabolicSar(0.1, 0.2)
    >>> klines = ((4.0, 2.0), (6.0, 4.0), (7.0, 5.0), (6.0, 1.0))
    >>> [sar.update(high, low) for high, low in klines][1:]
    [SarValue(stop=2.0, trend=1.0), SarValue(stop=2.4, trend=1.0), SarValue(stop=7.0, trend=-1.0)]
    >>> sar.lookback, ParabolicSar().convergence
    (2, 500)

    """

    __slots__ = ("_past", "most", "step")

    name = "parabolic_sar"
    parts = SarValue._fields
    inputs = ("high", "low")
    settles = False

    # Before the second kline only high and low count.
    _past: _Past | None

    def __init__(self, step: float = 0.02, most: float = 0.2) -> None:
        self.step = positive(self.name, "step", step)
        self.most = positive(self.name, "most", most)
        if not step <= most <= 1:
            why = f"most `{most}` must be from step `{step}` to 1"
            raise IndicatorError(self.name, why)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The step and the highest pace."""
        return (self.step, self.most)

    @property
    def lookback(self) -> int:
        """Two: the first kline gives the first stop."""
        return 2

    @property
    def convergence(self) -> int:
        """As above; no bound."""
        return max(2, round(10 / self.step))

    def update(self, high: float, low: float) -> SarValue | None:
        """Take those of the next final kline; return the stop, or None for the first kline."""
        if not 0.0 <= low <= high < HIGH:
            raise self._contradiction(high, low)
        self._past, value = self._step(high, low)
        return None if value is None else self._say(value)

    def peek(self, high: float, low: float) -> SarValue | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= high < HIGH:
            raise self._contradiction(high, low)
        return self._step(high, low)[1]

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self.value = self.previous = None
        self._past = None

    def _step(self, high: float, low: float) -> tuple[_Past, SarValue | None]:
        past = self._past
        if past is None:
            return _Past(high, low, 0.0, 0.0, 0.0, 0.0), None
        if not past.trend:
            up, down = high - past.high, past.low - low
            falls = down > 0.0 and down > up + _REACHED * high
            # The range of the last two klines is that of this one alone.
            past = (
                _Past(high, low, past.high, low, self.step, -1.0)
                if falls
                else _Past(high, low, past.low, high, self.step, 1.0)
            )
        if past.trend > 0.0:
            return self._rising(past, high, low)
        return self._falling(past, high, low)

    def _rising(self, past: _Past, high: float, low: float) -> tuple[_Past, SarValue]:
        _, before, stop, extreme, pace, _ = past
        if low <= stop * (1.0 + _REACHED):
            stop = max(extreme, past.high, high)
            following = max(stop + self.step * (low - stop), past.high, high)
            return _Past(high, low, following, low, self.step, -1.0), SarValue(stop, -1.0)
        if high > extreme:
            extreme, pace = high, min(pace + self.step, self.most)
        following = min(stop + pace * (extreme - stop), before, low)
        return _Past(high, low, following, extreme, pace, 1.0), SarValue(stop, 1.0)

    def _falling(self, past: _Past, high: float, low: float) -> tuple[_Past, SarValue]:
        before, _, stop, extreme, pace, _ = past
        if high >= stop * (1.0 - _REACHED):
            stop = min(extreme, past.low, low)
            following = min(stop + self.step * (high - stop), past.low, low)
            return _Past(high, low, following, high, self.step, 1.0), SarValue(stop, 1.0)
        if low < extreme:
            extreme, pace = low, min(pace + self.step, self.most)
        following = max(stop + pace * (extreme - stop), before, high)
        return _Past(high, low, following, extreme, pace, -1.0), SarValue(stop, -1.0)

    def _state(self) -> tuple[float, ...]:
        return self._past or ()

    def _load(self, state: tuple[float, ...]) -> None:
        if state:
            self._past = _Past(*state)

    def _made(self, numbers: tuple[float, ...]) -> SarValue:
        return SarValue(*numbers)
