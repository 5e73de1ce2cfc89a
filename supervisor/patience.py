"""When to start again, and when to give up: a function of the failures and their times."""

from collections import deque

_DELAYS_S = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
_LASTED_S = 60.0


class Patience:
    """Delays that grow with each failure and are capped; forgiven by a run that lasted.

    Args:
        max_failures: So many within the window are too many.
        window_s: The window, seconds.

    """

    def __init__(self, max_failures: int, window_s: float) -> None:
        self.max_failures, self.window_s = max_failures, window_s
        self._failed: deque[float] = deque(maxlen=max_failures)
        self._in_a_row = 0

    def failed(self, at: float, lived: float) -> float | None:
        """Take a failure.

        Args:
            at: When, seconds of any clock that rises.
            lived: How long what failed had run, seconds.

        Returns:
            Seconds to wait before the next start; None: give up.

        """
        self._in_a_row = 0 if lived >= _LASTED_S else self._in_a_row
        self._failed.append(at)
        if len(self._failed) == self.max_failures and at - self._failed[0] <= self.window_s:
            return None
        delay = _DELAYS_S[min(self._in_a_row, len(_DELAYS_S) - 1)]
        self._in_a_row += 1
        return delay
