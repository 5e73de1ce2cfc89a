"""Where the exchange says no: REST weight per calendar minute, bans, messages, connections.

Weight is counted in minutes of exchange time, because a faster market also needs more of it; what
clients count on their own clocks (messages, connection attempts) is counted in seconds of ours.
"""

from collections import deque
from typing import NamedTuple

from simulator.config import LimitSettings
from simulator.tape import SECOND_US

_MINUTE_US = 60 * SECOND_US
_LONGEST_BAN = 3 * 86_400.0
_ATTEMPTS_SECONDS = 300.0


class Verdict(NamedTuple):
    """Whether a request may pass: status 200, 429 or 418, and the exchange time of the end."""

    status: int
    used: int
    until_us: int


class Weights:
    """The weight that the one address of the simulation has used."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._minute = self._used = self._refused = 0
        self._ban, self._banned_until_us = limits.ban, 0

    def charge(self, weight: int, now_us: int) -> Verdict:
        """Count a request and return whether it passes."""
        if self.banned(now_us):
            return Verdict(418, self._used, self._banned_until_us)
        minute, limit = now_us // _MINUTE_US, self._limits.weight
        if minute != self._minute:
            self._minute, self._used, self._refused = minute, 0, 0
        self._used += weight
        if limit is None or self._used <= limit:
            return Verdict(200, self._used, 0)
        self._refused += 1
        if self._refused <= self._limits.ban_after:
            return Verdict(429, self._used, (minute + 1) * _MINUTE_US)
        self._banned_until_us = now_us + round(self._ban * SECOND_US)
        # Repeated bans grow, from two minutes to three days.
        self._ban = min(2 * self._ban, _LONGEST_BAN)
        self._refused = 0
        return Verdict(418, self._used, self._banned_until_us)

    def used(self, now_us: int) -> int:
        """Return the weight used in the minute of a time."""
        return self._used if now_us // _MINUTE_US == self._minute else 0

    def banned(self, now_us: int) -> bool:
        """Say whether the address is banned."""
        return now_us < self._banned_until_us


class Rate:
    """At most `count` events in any `seconds`; None lets all pass."""

    def __init__(self, count: int | None, seconds: float) -> None:
        self._count, self._seconds = count, seconds
        self._at: deque[float] = deque()

    def passes(self, now: float) -> bool:
        """Count an event and say whether it is within the limit."""
        if self._count is None:
            return True
        while self._at and self._at[0] <= now - self._seconds:
            self._at.popleft()
        self._at.append(now)
        return len(self._at) <= self._count


def attempts(limits: LimitSettings) -> Rate:
    """Return the limit of connection attempts."""
    return Rate(limits.connections, _ATTEMPTS_SECONDS)
