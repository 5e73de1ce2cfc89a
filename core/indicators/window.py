"""The last n numbers of a series with their exact sum, and with the exact sum of their squares.

The textbook formula E[x²] - E[x]² fails in float64: at a price of 60,000 the squares carry an
error of 4e-7, so a true variance of 1e-8 drowns and can turn negative. And a running sum that adds
the new and takes off the old keeps every rounding error it ever made. Here a number is held as an
integer number of 2**-shift, which every float64 is for some shift; sums of integers are exact, so
nothing drifts, nothing cancels, and a result depends on the n numbers alone and not on what came
before them. The shift grows when a finer number comes (at most 1,074 times in a lifetime; for
prices, two or three times at the start), and only then an update touches all n.
"""

from collections import deque
from math import nan

_FAST_SHIFTS = 600
"""Up to here a number below 1e100 times ``2**shift`` is a float64."""


class Window:
    """The last `size` numbers and their sum; those not yet given count as zeros.

    >>> window = Window(3)
    >>> [window.push(x) for x in (0.1, 60000.25, 60000.5, 60000.75)][-1]
    60000.5
    >>> window.numbers()
    [60000.25, 60000.5, 60000.75]

    """

    __slots__ = ("_scale", "_shift", "_total", "_unit", "_units", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._units: deque[int] = deque([0] * size, maxlen=size)
        self._total = 0
        self._set_shift(0)

    def push(self, x: float) -> float:
        """Take the next number, which must be finite; return the mean, correctly rounded."""
        scaled = x * self._scale
        # The product of a float and a power of two is exact, as it does not overflow.
        new = int(scaled) if scaled.is_integer() else self._exact(x)
        # Only now, because a finer number has these rescaled.
        units = self._units
        self._total = total = self._total + new - units[0]
        units.append(new)
        return total / self._unit

    def peek(self, x: float) -> float:
        """Return what `push` would return, and take nothing."""
        return (self._exact(x) + self._total - self._units[0]) / self._unit

    def numbers(self) -> list[float]:
        """Return the numbers, oldest first, as they were given."""
        one = 1 << self._shift
        return [x / one for x in self._units]

    def _exact(self, x: float) -> int:
        numerator, denominator = x.as_integer_ratio()
        shift = denominator.bit_length() - 1
        if shift > self._shift:
            self._refine(shift - self._shift)
        return numerator << (self._shift - shift)

    def _refine(self, bits: int) -> None:
        self._units = deque((x << bits for x in self._units), maxlen=self.size)
        self._total <<= bits
        self._set_shift(self._shift + bits)

    def _set_shift(self, shift: int) -> None:
        self._shift = shift
        # Beyond, the product could overflow; NaN sends every number through `_exact` instead.
        self._scale = 2.0**shift if shift <= _FAST_SHIFTS else nan
        self._unit = self.size << shift


class SquareWindow(Window):
    """The last `size` numbers, their sum and that of their squares.

    >>> window = SquareWindow(2)
    >>> window.push_both(60000.0), window.push_both(60000.0009765625)
    ((30000.0, 900000000.0), (60000.00048828125, 2.384185791015625e-07))

    """

    __slots__ = ("_square_unit", "_squares")

    def __init__(self, size: int) -> None:
        self._squares = 0
        super().__init__(size)

    def push_both(self, x: float) -> tuple[float, float]:
        """Take the next number; return mean and population variance, correctly rounded."""
        # As `push`, with two lines more: a call between them would take a tenth of the time.
        scaled = x * self._scale
        new = int(scaled) if scaled.is_integer() else self._exact(x)
        units = self._units
        old = units[0]
        units.append(new)
        step = new - old
        self._total = total = self._total + step
        self._squares = squares = self._squares + step * (new + old)
        return total / self._unit, (self.size * squares - total * total) / self._square_unit

    def peek_both(self, x: float) -> tuple[float, float]:
        """Return what `push_both` would return, and take nothing."""
        new = self._exact(x)
        old = self._units[0]
        total = self._total + new - old
        squares = self._squares + (new - old) * (new + old)
        return total / self._unit, (self.size * squares - total * total) / self._square_unit

    def _refine(self, bits: int) -> None:
        self._squares <<= 2 * bits
        super()._refine(bits)

    def _set_shift(self, shift: int) -> None:
        super()._set_shift(shift)
        self._square_unit = self.size**2 << 2 * shift


class WeightedWindow(Window):
    """The last `size` numbers, and their mean in which the newest weighs `size`, the oldest 1.

    >>> window = WeightedWindow(2)
    >>> [window.push(x) for x in (1.0, 4.0, 7.0)][1:]
    [3.0, 6.0]

    """

    __slots__ = ("_weighted",)

    def __init__(self, size: int) -> None:
        self._weighted = 0
        super().__init__(size)

    def push(self, x: float) -> float:
        """Take the next number; return the weighted mean, correctly rounded."""
        scaled = x * self._scale
        new = int(scaled) if scaled.is_integer() else self._exact(x)
        # Each number's weight falls by one, so all of them are taken off once.
        self._weighted = weighted = self._weighted - self._total + self.size * new
        self._total += new - self._units[0]
        self._units.append(new)
        return 2 * weighted / ((self.size + 1) * self._unit)

    def peek(self, x: float) -> float:
        """Return what `push` would return, and take nothing."""
        new = self._exact(x)
        weighted = self._weighted - self._total + self.size * new
        return 2 * weighted / ((self.size + 1) * self._unit)

    def _refine(self, bits: int) -> None:
        self._weighted <<= bits
        super()._refine(bits)
