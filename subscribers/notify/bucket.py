"""How many messages a minute: a token comes back a minute after it was used.

So no 60 seconds ever see more than there are tokens; one that fills up steadily would let twice as
many through in the first minute.
"""

from collections import deque
from collections.abc import Iterable

MINUTE_S = 60.0


class Bucket:
    """Tokens of a channel.

    >>> bucket = Bucket(2)
    >>> for at in (0.0, 10.0):
    ...     bucket.take(at)
    >>> bucket.ready_at()
    60.0

    Args:
        tokens: How many.
        used: When some of them were used before, in any order.

    """

    def __init__(self, tokens: int, used: Iterable[float] = ()) -> None:
        self._used = deque(sorted(used), maxlen=tokens)
        self._tokens = tokens

    def ready_at(self) -> float:
        """Return since when, or from when on, there is a token."""
        if len(self._used) < self._tokens:
            return float("-inf")
        return self._used[0] + MINUTE_S

    def take(self, now: float) -> None:
        """Use a token."""
        self._used.append(now)
