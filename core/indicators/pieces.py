"""What indicators are made of, beside other indicators: pieces that take numbers unchecked.

All are pushed and peeked as indicators are updated and peeked, and keep numbers only.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from core.indicators.window import Window


class Piece(Protocol):
    """An indicator or one of the classes here: something with numbers to keep."""

    def reset(self) -> None:
        """Forget everything."""

    def dump(self) -> tuple[float, ...]:
        """Return all numbers it keeps."""

    def load(self, dumped: tuple[Any, ...], /) -> None:
        """Go on from what `dump` returned, after a `reset`; raise ValueError if damaged."""


class Rolled:
    """What a window says, once it is full.

    >>> mean = Rolled(Window, 2)
    >>> mean.push(1.0), mean.push(3.0), mean.peek(5.0), mean.dump()
    (None, 2.0, 4.0, (2, 1.0, 3.0))

    """

    __slots__ = ("_seen", "_window", "size")

    def __init__(self, kind: type[Window], size: int) -> None:
        self.size = size
        self._window = kind(size)
        self._seen = 0

    def push(self, x: float) -> float | None:
        """Take the next number, which must be finite."""
        value = self._window.push(x)
        if self._seen < self.size:
            self._seen += 1
            if self._seen < self.size:
                return None
        return value

    def peek(self, x: float) -> float | None:
        """Return what `push` would return, and take nothing."""
        return None if self._seen + 1 < self.size else self._window.peek(x)

    def reset(self) -> None:
        """Forget everything."""
        self._window = type(self._window)(self.size)
        self._seen = 0

    def dump(self) -> tuple[float, ...]:
        """Return how many numbers it holds, and these."""
        return (self._seen, *self._window.numbers()[self.size - self._seen :])

    def load(self, dumped: Sequence[float], /) -> None:
        """Go on from a dump."""
        self._seen = counted(dumped, self.size)
        for x in dumped[1:]:
            self._window.push(x)


class Lag:
    """The number that came `size` before.

    >>> lag = Lag(2)
    >>> [lag.push(x) for x in (1.0, 3.0, 5.0, 7.0)]
    [None, None, 1.0, 3.0]

    """

    __slots__ = ("_held", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._held: deque[float] = deque(maxlen=size)

    def push(self, x: float) -> float | None:
        """Take the next number; return the one `size` before it, or None."""
        held = self._held
        before = held[0] if len(held) == self.size else None
        held.append(x)
        return before

    def peek(self) -> float | None:
        """Return the number that is `size` before the next one."""
        return self._held[0] if len(self._held) == self.size else None

    def reset(self) -> None:
        """Forget everything."""
        self._held.clear()

    def dump(self) -> tuple[float, ...]:
        """Return how many numbers it holds, and these."""
        return (len(self._held), *self._held)

    def load(self, dumped: Sequence[float], /) -> None:
        """Go on from a dump."""
        counted(dumped, self.size)
        self._held.extend(dumped[1:])


class Total:
    """A sum that may go on for ever: what rounding took off is kept beside it and added.

    Neumaier's summation (Zeitschrift für Angewandte Mathematik und Mechanik 54, 1974): the error
    does not grow with the number of numbers, only with the square of the rounding unit times it.

    >>> total = Total()
    >>> [total.push(x) for x in (1e16, 1.0, -1e16)][-1], [total.push(x) for x in (1e16, -1e16)][-1]
    (1.0, 1.0)

    """

    __slots__ = ("_lost", "_sum")

    def __init__(self) -> None:
        self.reset()

    def push(self, x: float) -> float:
        """Take the next number; return the sum."""
        self._sum, self._lost = self._with(x)
        return self._sum + self._lost

    def peek(self, x: float) -> float:
        """Return what `push` would return, and take nothing."""
        rounded, lost = self._with(x)
        return rounded + lost

    def reset(self) -> None:
        """Forget everything."""
        self._sum = self._lost = 0.0

    def dump(self) -> tuple[float, ...]:
        """Return the sum and what was lost."""
        return (self._sum, self._lost)

    def load(self, dumped: Sequence[float], /) -> None:
        """Go on from a dump."""
        self._sum, self._lost = dumped

    def _with(self, x: float) -> tuple[float, float]:
        before = self._sum
        rounded = before + x
        if abs(before) >= abs(x):
            return rounded, self._lost + ((before - rounded) + x)
        return rounded, self._lost + ((x - rounded) + before)


def counted(dumped: Sequence[float], size: int) -> int:
    """Return the count a dump of numbers begins with; raise ValueError if it does not fit."""
    seen = len(dumped) - 1
    if dumped[0] != seen or seen > size:
        raise ValueError(dumped[0])
    return seen
