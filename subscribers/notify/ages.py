"""How old records are, by the exchange's clock as the flow measured it against its own.

A simulated exchange may live in another year; there, too, what is new is new.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
import redis

from connectors.redis.keys import FLOWS

LOG = logging.getLogger("cryptotools.notify")

_EVERY_S = 10.0
_SAME_S = 60.0


class Ages:
    """Tells ages.

    Args:
        client: Gives a client of Redis.
        clock: Seconds since the epoch.

    """

    def __init__(
        self, client: Callable[[], Any], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._client, self._clock = client, clock
        self._skew_s = 0.0
        self._look_at = float("-inf")

    def age_s(self, time_us: int) -> float:
        """Return how many seconds ago something happened; never negative."""
        return max(0.0, self._clock() + self._skew_s - time_us / 1e6)

    def look(self) -> None:
        """Ask what the flows know of the exchange's clock, if it is time to."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + _EVERY_S
        try:
            told = self._rows()
        except (redis.RedisError, OSError) as error:
            LOG.debug("the exchange's clock is not known: %s", error)
            return
        self._skew_s = max(skews(told), default=self._skew_s)

    def _rows(self) -> list[Any]:
        # The others are long lists of instances, and tell nothing of clocks.
        names = [name for name in self._client().hkeys(FLOWS) if name.rpartition("/")[2].isdigit()]
        told = self._client().hmget(FLOWS, names) if names else []
        return [orjson.loads(one) for one in told if one]


def skews(accounts: Iterable[Mapping[str, Any]]) -> list[float]:
    """Return what accounts of flows tell of the exchange's clock minus their own, by symbol.

    One that is a minute older than the newest does not count: its flow has ended.
    """
    told = [(float(row.get("written") or 0.0), row.get("symbols") or {}) for row in accounts]
    newest = max((written for written, _ in told), default=0.0)
    return [
        datetime.fromisoformat(one["known_until"]).timestamp() + one["lag_s"] - written
        for written, symbols in told
        if written >= newest - _SAME_S
        for one in symbols.values()
    ]
