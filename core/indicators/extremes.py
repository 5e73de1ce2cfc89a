"""The highest and the lowest of the last n, in amortised constant time.

Of the highs only those are kept that no later one has reached: they fall, and the first is the
highest. Each is put in once and taken out once, so on average an update touches two.
"""

from collections import deque
from collections.abc import Sequence

Held = deque[tuple[int, float]]
"""What may still become an extreme: its position in the series, and itself."""


class Extremes:
    """The highest high and the lowest low of the last `size` klines.

    >>> last = Extremes(2)
    >>> [last.push(high, low) for high, low in ((3.0, 1.0), (5.0, 2.0), (4.0, 3.0), (4.5, 3.5))]
    [None, (5.0, 1.0), (5.0, 2.0), (4.5, 3.0)]
    >>> last.peek(6.0, 4.0)
    (6.0, 3.5)

    """

    __slots__ = ("_highs", "_lows", "_now", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._highs: Held = deque()
        self._lows: Held = deque()
        self._now = 0

    def push(self, high: float, low: float) -> tuple[float, float] | None:
        """Take those of the next kline; return highest and lowest, or None until there are n."""
        self._now = now = self._now + 1
        highs, lows = self._highs, self._lows
        while highs and highs[-1][1] <= high:
            highs.pop()
        highs.append((now, high))
        while lows and lows[-1][1] >= low:
            lows.pop()
        lows.append((now, low))
        gone = now - self.size
        if highs[0][0] <= gone:
            highs.popleft()
        if lows[0][0] <= gone:
            lows.popleft()
        return None if gone < 0 else (highs[0][1], lows[0][1])

    def peek(self, high: float, low: float) -> tuple[float, float] | None:
        """Return what `push` would return, and take nothing."""
        gone = self._now + 1 - self.size
        if gone < 0:
            return None
        highest, lowest = _first(self._highs, gone), _first(self._lows, gone)
        return (
            high if highest is None else max(high, highest),
            low if lowest is None else min(low, lowest),
        )

    def reset(self) -> None:
        """Forget everything."""
        self._highs.clear()
        self._lows.clear()
        self._now = 0

    def dump(self) -> tuple[float, ...]:
        """Return klines seen, up to `size`; how many highs are kept; ages and values of all."""
        now = self._now
        kept = [float(x) for at, value in (*self._highs, *self._lows) for x in (now - at, value)]
        return (min(now, self.size), len(self._highs), *kept)

    def load(self, dumped: Sequence[float], /) -> None:
        """Go on from a dump."""
        seen, highs, *kept = dumped
        if not 0 <= seen <= self.size or len(kept) % 2 or not 0 <= highs <= len(kept) // 2:
            raise ValueError(seen)
        # Whole klines, so that positions stay whole numbers.
        self._now = now = int(seen)
        pairs = [(now - int(kept[n]), kept[n + 1]) for n in range(0, len(kept), 2)]
        self._highs.extend(pairs[: int(highs)])
        self._lows.extend(pairs[int(highs) :])
        if not _whole(self._highs, now) or not _whole(self._lows, now):
            raise ValueError(seen)


def _first(held: Held, gone: int) -> float | None:
    for at, value in held:
        if at > gone:
            return value
    return None


def _whole(held: Held, now: int) -> bool:
    return held[-1][0] == now and held[0][0] > 0 if held else now == 0
