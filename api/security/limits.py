"""How often a caller may ask: a bucket per caller, filled at a steady rate.

Each process counts for itself: behind a balancer the limit is per replica.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

_CALLERS = 10_000


class RateLimit:
    """Lets so many calls a minute pass, as many at once.

    Args:
        per_minute: Of each caller.
        clock: Seconds that only rise.

    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._per_s = per_minute / 60
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Count a call; return the seconds to wait where it is one too many, else 0."""
        now = self._clock()
        left, at = self._left.pop(caller, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_s)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_s
        self._left[caller] = (left - 1 if not wait else left, now)
        while len(self._left) > _CALLERS:  # who was not heard of for longest has a full one
            self._left.popitem(last=False)
        return wait
