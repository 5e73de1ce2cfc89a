"""When to dial again: exponential with a cap and full jitter.

A link that connects and drops at once is not forgiven; only one that lasted is. Otherwise a
server that accepts and closes would be redialled at the shortest delay for ever.
"""

from typing import Protocol


class Dice(Protocol):
    """Randomness as an argument: `random.Random` is one."""

    def random(self) -> float:
        """Return a number in [0, 1)."""


class Backoff:
    """Delays in seconds.

    >>> class Six:
    ...     def random(self): return 0.5
    >>> backoff = Backoff(Six(), base=1.0, cap=5.0, stable=60.0)
    >>> [backoff.lost(lived=1.0) for _ in range(4)], backoff.lost(lived=61.0)
    ([0.5, 1.0, 2.0, 2.5], 0.5)
    """

    def __init__(
        self, dice: Dice, *, base: float = 0.5, cap: float = 30.0, stable: float = 60.0
    ) -> None:
        self._dice = dice
        self._base, self._cap, self._stable = base, cap, stable
        self._losses = 0

    def lost(self, *, lived: float) -> float:
        """Return the delay before the next attempt, after a link that lived that long."""
        if lived >= self._stable:
            self._losses = 0
        ceiling = min(self._cap, self._base * 2.0 ** min(self._losses, 30))
        self._losses += 1
        return self._dice.random() * ceiling
