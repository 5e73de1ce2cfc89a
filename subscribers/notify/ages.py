"""How old records are, by the exchange's clock as the flow measured it against its own.

A simulated exchange may live in another year; there, too, what is new is new.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson
import redis

from connectors.redis.keys import FLOWS

LOG = logging.getLogger("cryptotools.notify")

_EVERY_S = 10.0


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
        found = [skew for row in told for skew in skews(row)]
        self._skew_s = max(found, default=self._skew_s)

    def _rows(self) -> list[Any]:
        # Lists of instances are long, and tell nothing of clocks.
        names = [name for name in self._client().hkeys(FLOWS) if name.rpartition("/")[2].isdigit()]
        return (
            [orjson.loads(one) for one in self._client().hmget(FLOWS, names) if one]
            if names
            else []
        )


def skews(row: Mapping[str, Any]) -> list[float]:
    """Return what an account of a flow tells of the exchange's clock minus its own, by symbol."""
    try:
        written = float(row["written"])
        return [
            datetime.fromisoformat(one["known_until"]).timestamp() + one["lag_s"] - written
            for one in row["symbols"].values()
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
