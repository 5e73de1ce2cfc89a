"""Ichimoku cloud."""

from typing import NamedTuple

from core.indicators.base import HIGH, IndicatorError, Several, whole
from core.indicators.composed import Composed
from core.indicators.extremes import Extremes
from core.indicators.pieces import Lag, Piece


class IchimokuValue(NamedTuple):
    """The lines at this kline, and the cloud that is drawn ahead of it.

    `span_a` and `span_b` are the edges of the cloud at this kline, known since `shift` klines;
    `ahead_a` and `ahead_b` are those it will have `shift` klines later.
    """

    conversion: float
    base: float
    span_a: float
    span_b: float
    ahead_a: float
    ahead_b: float


class Ichimoku(Composed[IchimokuValue], Several[IchimokuValue]):
    """Middles of the ranges of three lengths; a cloud of them is drawn ahead in time.

    Conversion and base line are (highest + lowest) / 2 of `conversion` and of `base` klines; span A
    is the mean of the two, span B that middle of `span` klines, both drawn `shift` klines ahead.

    Variant: Hosoda's 9, 26, 52; a span is drawn `shift` klines after the one it was computed with
    (charts that count this one too have a `shift` of 25). The lagging span, the close drawn back,
    is no number of its own: that it lies above the price means that ``Momentum(shift)`` is above 0.

    All lines are at the price while nothing moves.

    Args:
        conversion: Klines of the conversion line, at least 1.
        base: Klines of the base line, at least `conversion`.
        span: Klines of span B, at least `base`.
        shift: Klines between a span and where it is drawn, at least 1.

    References:
        Goichi Hosoda (Ichimoku Sanjin), *Ichimoku Kinko Hyo*, 1969.

    >>> cloud = Ichimoku(1, 2, 3, 1)
    >>> klines = ((4.0, 2.0), (6.0, 4.0), (7.0, 5.0), (8.0, 6.0))
    >>> [round(x, 2) for x in [cloud.update(high, low) for high, low in klines][3]]
    [7.0, 6.5, 5.75, 4.5, 6.75, 6.0]
    >>> cloud.lookback, Ichimoku().lookback
    (4, 78)

    """

    __slots__ = ("_a", "_b", "_base", "_conversion", "_span", "base", "conversion", "shift", "span")

    name = "ichimoku"
    parts = IchimokuValue._fields
    inputs = ("high", "low")

    def __init__(
        self, conversion: int = 9, base: int = 26, span: int = 52, shift: int = 26
    ) -> None:
        self.conversion = whole(self.name, "conversion", conversion)
        self.base, self.span = whole(self.name, "base", base), whole(self.name, "span", span)
        self.shift = whole(self.name, "shift", shift)
        if not conversion <= base <= span:
            why = f"conversion `{conversion}`, base `{base}` and span `{span}` must not fall"
            raise IndicatorError(self.name, why)
        self._conversion, self._base = Extremes(conversion), Extremes(base)
        self._span, self._a, self._b = Extremes(span), Lag(shift), Lag(shift)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The lengths: conversion, base, span B, shift."""
        return (self.conversion, self.base, self.span, self.shift)

    @property
    def lookback(self) -> int:
        """The klines of span B, and the shift: from then on there is a cloud."""
        return self.span + self.shift

    @property
    def convergence(self) -> int:
        """The lookback: the value depends on nothing else, to the bit."""
        return self.lookback

    def update(self, high: float, low: float) -> IchimokuValue | None:
        """Take those of the next final kline; return the lines, or None until there is a cloud."""
        if not 0.0 <= low <= high < HIGH:
            raise self._contradiction(high, low)
        conversion = self._conversion.push(high, low)
        base = self._base.push(high, low)
        span = self._span.push(high, low)
        if conversion is None or base is None or span is None:
            return None
        short, long, ahead_a, ahead_b = _lines(conversion, base, span)
        a, b = self._a.push(ahead_a), self._b.push(ahead_b)
        if a is None or b is None:
            return None
        return self._say(IchimokuValue(short, long, a, b, ahead_a, ahead_b))

    def peek(self, high: float, low: float) -> IchimokuValue | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= low <= high < HIGH:
            raise self._contradiction(high, low)
        conversion = self._conversion.peek(high, low)
        base = self._base.peek(high, low)
        span = self._span.peek(high, low)
        if conversion is None or base is None or span is None:
            return None
        short, long, ahead_a, ahead_b = _lines(conversion, base, span)
        a, b = self._a.peek(), self._b.peek()
        if a is None or b is None:
            return None
        return IchimokuValue(short, long, a, b, ahead_a, ahead_b)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._conversion, self._base, self._span, self._a, self._b)

    def _made(self, numbers: tuple[float, ...]) -> IchimokuValue:
        return IchimokuValue(*numbers)


def _lines(
    conversion: tuple[float, float], base: tuple[float, float], span: tuple[float, float]
) -> tuple[float, float, float, float]:
    short = (conversion[0] + conversion[1]) / 2.0
    long = (base[0] + base[1]) / 2.0
    return short, long, (short + long) / 2.0, (span[0] + span[1]) / 2.0
