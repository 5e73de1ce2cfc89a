"""Budgets that Binance counts per IP address: REST weight, and attempts to connect.

Pure arithmetic: they say how long to wait, somebody else waits. What the exchange says is believed
over our own count, because other programs share the address.
"""

from collections import deque

_MINUTE_S = 60.0


class WeightBudget:
    """Weight per calendar minute, in seconds of any clock that counts from the epoch.

    A part is kept for what is urgent (repairs): other questions see a smaller budget.

    >>> budget = WeightBudget(limit=100, reserve=0.0)
    >>> budget.delay(80, now=6.0), budget.delay(30, now=10.0), budget.delay(30, now=60.0)
    (0.0, 50.0, 0.0)
    >>> budget.delay(40, now=61.0, urgent=False), budget.delay(40, now=61.0)
    (59.0, 0.0)
    """

    def __init__(self, *, limit: int = 6000, reserve: float = 0.1) -> None:
        self._limit = int(limit * (1.0 - reserve))
        self._minute = -1
        self._used = 0
        self._banned_until = 0.0

    def delay(self, weight: int, now: float, *, urgent: bool = True) -> float:
        """Reserve `weight` and return 0.0, or return the seconds after which to ask again."""
        if now < self._banned_until:
            return self._banned_until - now
        self._turn(now)
        limit = self._limit if urgent else self._limit // 2
        if self._used and self._used + weight > limit:
            return (self._minute + 1) * _MINUTE_S - now
        self._used += weight
        return 0.0

    def used(self, now: float) -> int:
        """Return the weight used in the minute of a time."""
        self._turn(now)
        return self._used

    def observed(self, used: int, now: float) -> None:
        """Take the exchange's word (``X-MBX-USED-WEIGHT-1M``) for the weight used so far."""
        self._turn(now)
        self._used = max(self._used, used)

    def punished(self, retry_after: float, now: float) -> None:
        """Obey a 429, 418 or 403: nothing is asked before `retry_after` seconds are over."""
        self._banned_until = max(self._banned_until, now + retry_after)

    def _turn(self, now: float) -> None:
        minute = int(now // _MINUTE_S)
        if minute != self._minute:
            self._minute, self._used = minute, 0


class AttemptBudget:
    """Attempts to connect within a sliding window: 300 in five minutes (web-socket-streams.md).

    >>> attempts = AttemptBudget(limit=2, window=300.0)
    >>> attempts.delay(0.0), attempts.delay(10.0), attempts.delay(20.0), attempts.delay(300.0)
    (0.0, 0.0, 280.0, 0.0)
    """

    def __init__(self, *, limit: int = 250, window: float = 300.0) -> None:
        self._limit, self._window = limit, window
        self._made: deque[float] = deque()
        self._banned_until = 0.0

    def delay(self, now: float) -> float:
        """Count an attempt and return 0.0, or return the seconds after which to ask again."""
        if now < self._banned_until:
            return self._banned_until - now
        while self._made and self._made[0] <= now - self._window:
            self._made.popleft()
        if len(self._made) >= self._limit:
            return self._made[0] + self._window - now
        self._made.append(now)
        return 0.0

    def punished(self, retry_after: float, now: float) -> None:
        """Obey a refused handshake (403, 418, 429): an IP ban concerns sockets, too."""
        self._banned_until = max(self._banned_until, now + retry_after)
