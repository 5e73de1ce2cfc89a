"""One budget of REST weight: Binance counts per IP address and calendar minute (rest-api.md).

Pure arithmetic: it says how long to wait, somebody else waits. What the exchange says about the
weight used is believed over our own count, because other programs share the address.
"""

_MINUTE_S = 60.0


class WeightBudget:
    """Weight per calendar minute, in seconds of any clock that counts from the epoch.

    >>> budget = WeightBudget(limit=100, reserve=0.0)
    >>> budget.delay(80, now=6.0), budget.delay(30, now=10.0), budget.delay(30, now=60.0)
    (0.0, 50.0, 0.0)
    """

    def __init__(self, *, limit: int = 6000, reserve: float = 0.1) -> None:
        self._limit = int(limit * (1.0 - reserve))
        self._minute = -1
        self._used = 0
        self._banned_until = 0.0

    def delay(self, weight: int, now: float) -> float:
        """Reserve `weight` and return 0.0, or return the seconds after which to ask again."""
        if now < self._banned_until:
            return self._banned_until - now
        self._turn(now)
        if self._used and self._used + weight > self._limit:
            return (self._minute + 1) * _MINUTE_S - now
        self._used += weight
        return 0.0

    def observed(self, used: int, now: float) -> None:
        """Take the exchange's word (``X-MBX-USED-WEIGHT-1M``) for the weight used so far."""
        self._turn(now)
        self._used = max(self._used, used)

    def punished(self, retry_after: float, now: float) -> None:
        """Obey a 429 or 418: nothing is asked before `retry_after` seconds are over."""
        self._banned_until = max(self._banned_until, now + retry_after)

    def _turn(self, now: float) -> None:
        minute = int(now // _MINUTE_S)
        if minute != self._minute:
            self._minute, self._used = minute, 0
