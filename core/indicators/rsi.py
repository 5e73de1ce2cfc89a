"""Relative strength index."""

from core.indicators.base import HIGH, LOW, IndicatorError, Scalar, fading, whole


class Rsi(Scalar):
    """Share of the rises in all moves, from 0 to 100, each averaged by Wilder's method.

    Variant: the averages are seeded with the mean of the first `period` moves and then fade by
    1 - 1 / period, as in TA-Lib; `unmoved` before anything has moved.

    While nothing moves both fade alike and the index stays.
    Before anything has moved it has no meaning: TA-Lib says 0, which a strategy would read as
    oversold; `unmoved` chooses another value.

    After `convergence` numbers the averages of two instances differ by at most `CONVERGED` times
    the largest move before, and the index by 100 times that in proportion to the current average
    move (about 1e-9 when that move was ten times the average).

    Args:
        period: At least 2.
        unmoved: The value as long as all numbers were equal.

    References:
        J. Welles Wilder, *New Concepts in Technical Trading Systems*, 1978, section VI.

    >>> rsi = Rsi(2)
    >>> [rsi.update(x) for x in (10.0, 11.0, 10.0, 13.0, 13.0, 12.0)]
    [None, None, 50.0, 87.5, 87.5, 43.75]
    >>> rsi.peek(100.0) > 95, rsi.crossed_below(70), rsi.crossed_above(70)
    (True, True, False)
    >>> rsi.lookback, Rsi(14).convergence
    (3, 388)

    """

    __slots__ = ("_gain", "_keep", "_last", "_loss", "_seen", "period", "unmoved")

    name = "rsi"

    _gain: float
    _last: float
    _loss: float

    def __init__(self, period: int = 14, *, unmoved: float = 0.0) -> None:
        self.period = whole(self.name, "period", period, least=2)
        if not 0 <= unmoved <= 100:
            raise IndicatorError(self.name, f"unmoved must be from 0 to 100, not `{unmoved}`")
        self.unmoved = float(unmoved)
        self._keep = float(period - 1)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period, and the value before anything has moved."""
        return (self.period, self.unmoved)

    @property
    def lookback(self) -> int:
        """The period and one: it takes `period` moves."""
        return self.period + 1

    @property
    def convergence(self) -> int:
        """Lookback, and as long as it takes for the seed to weigh `CONVERGED`."""
        return self.lookback + fading(1.0 - 1.0 / self.period)

    def update(self, x: float) -> float | None:
        """Take the next final number; return the index, or None until there were enough moves."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        before = self.value
        if before is None:
            return self._seed(x)
        move = x - self._last
        self._last = x
        keep, period = self._keep, self.period
        # Multiplied and divided in this order to round as TA-Lib does.
        if move > 0.0:
            self._gain = gain = (self._gain * keep + move) / period
            self._loss = loss = self._loss * keep / period
        else:
            self._gain = gain = self._gain * keep / period
            self._loss = loss = (self._loss * keep - move) / period
        total = gain + loss
        self.previous = before
        self.value = value = 100.0 * (gain / total) if total else self.unmoved
        return value

    def peek(self, x: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        if self._seen < self.period:
            return None
        move = x - self._last
        rise, fall = max(move, 0.0), max(-move, 0.0)
        keep = 1.0 if self.value is None else self._keep
        gain = (self._gain * keep + rise) / self.period
        loss = (self._loss * keep + fall) / self.period
        return self._index(gain, loss)

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self.value = self.previous = None
        self._seen = 0
        self._gain = self._loss = self._last = 0.0

    def _seed(self, x: float) -> float | None:
        move = x - self._last if self._seen else 0.0
        self._last = x
        if move > 0.0:
            self._gain += move
        else:
            self._loss -= move
        self._seen += 1
        if self._seen > self.period:
            self._gain /= self.period
            self._loss /= self.period
            self.value = self._index(self._gain, self._loss)
        return self.value

    def _index(self, gain: float, loss: float) -> float:
        total = gain + loss
        return 100.0 * (gain / total) if total else self.unmoved

    def _state(self) -> tuple[float, ...]:
        return (self._seen, self._last, self._gain, self._loss)

    def _load(self, state: tuple[float, ...]) -> None:
        seen, self._last, self._gain, self._loss = state
        self._seen = int(seen)
