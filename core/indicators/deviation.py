"""How far the newest of the last n numbers lies from their mean, in units of their spread.

From exact sums, as everything in `core.indicators.window`: with a noise of 1e-4 on a price of
60,000 the difference of price and mean is as exact as any other.
"""

from bisect import bisect_left, bisect_right, insort
from math import sqrt

from core.indicators.window import SquareWindow, Window

_NOISE = 10**14


class ScoreWindow(SquareWindow):
    """The distance from the mean in population standard deviations; 0 where all are equal.

    >>> window = ScoreWindow(4)
    >>> [window.push(x) for x in (1.0, 3.0, 3.0, 1.0)][-1]
    -1.0

    """

    __slots__ = ()

    def push(self, x: float) -> float:
        """Take the next number; return its score."""
        self.push_both(x)
        return self._score(self._units[-1], self._total, self._squares)

    def peek(self, x: float) -> float:
        """Return what `push` would return, and take nothing."""
        new = self._exact(x)
        old = self._units[0]
        squares = self._squares + (new - old) * (new + old)
        return self._score(new, self._total + new - old, squares)

    def _score(self, new: int, total: int, squares: int) -> float:
        # In whole numbers up to the root, so that no unit is too large or too fine.
        spread = self.size * squares - total * total
        if not spread:
            return 0.0
        distance = self.size * new - total
        score = sqrt(distance * distance / spread)
        return score if distance >= 0 else -score


class RelativeWindow(SquareWindow):
    """The population standard deviation in units of the mean; 0 where the mean is 0.

    >>> window = RelativeWindow(2)
    >>> [window.push(x) for x in (1.0, 3.0)]
    [1.0, 0.5]

    """

    __slots__ = ()

    def push(self, x: float) -> float:
        """Take the next number; return the relative deviation."""
        return self._relative(*self.push_both(x))

    def peek(self, x: float) -> float:
        """Return what `push` would return, and take nothing."""
        return self._relative(*self.peek_both(x))

    def _relative(self, mean: float, variance: float) -> float:
        return sqrt(variance) / mean if mean else 0.0


class AbsoluteWindow(Window):
    """The distance from the mean in mean absolute deviations; 0 where all are equal but for noise.

    The deviations all change with the mean. But those above it add up to those below, so their sum
    follows from the sum of the numbers above the mean, and that is kept: the numbers are held in
    order too, and as the mean moves, only those it passes are added or taken off.

    >>> window = AbsoluteWindow(3)
    >>> [window.push(x) for x in (1.0, 2.0, 6.0)][-1]
    1.5

    """

    __slots__ = ("_above", "_cut", "_order")

    def __init__(self, size: int) -> None:
        self._order = [0] * size
        # The whole part of the mean: what is larger is above the mean. And the sum of that.
        self._cut = self._above = 0
        super().__init__(size)

    def push(self, x: float) -> float:
        """Take the next number; return its distance."""
        scaled = x * self._scale
        new = int(scaled) if scaled.is_integer() else self._exact(x)
        old, order = self._units[0], self._order
        total, cut, above, distance = self._with(new, old)
        del order[bisect_left(order, old)]
        insort(order, new)
        self._units.append(new)
        self._total, self._cut, self._above = total, cut, above
        return distance

    def peek(self, x: float) -> float:
        """Return what `push` would return, and take nothing."""
        new = self._exact(x)
        return self._with(new, self._units[0])[3]

    def _with(self, new: int, old: int) -> tuple[int, int, int, float]:
        size, order = self.size, self._order
        total = self._total + new - old
        cut, above = total // size, self._above
        was, now = bisect_right(order, self._cut), bisect_right(order, cut)
        above += sum(order[now:was]) - sum(order[was:now])
        count = size - now
        if old > cut:
            above, count = above - old, count - 1
        if new > cut:
            above, count = above + new, count + 1
        deviations = 2 * (size * above - count * total)
        # A mean deviation of up to 1e-14 of the mean is what rounding made of equal numbers.
        moved = deviations * _NOISE > size * abs(total)
        distance = size * (size * new - total) / deviations if moved else 0.0
        return total, cut, above, distance

    def _refine(self, bits: int) -> None:
        self._order = [x << bits for x in self._order]
        super()._refine(bits)
        # The mean has a finer whole part now, so some equal to the old one may lie above it.
        self._cut = self._total // self.size
        self._above = sum(x for x in self._order if x > self._cut)


class SpreadWindow(SquareWindow):
    """The population standard deviation.

    >>> window = SpreadWindow(2)
    >>> [window.push(x) for x in (1.0, 3.0)]
    [0.5, 1.0]

    """

    __slots__ = ()

    def push(self, x: float) -> float:
        """Take the next number; return the deviation."""
        return sqrt(self.push_both(x)[1])

    def peek(self, x: float) -> float:
        """Return what `push` would return, and take nothing."""
        return sqrt(self.peek_both(x)[1])
