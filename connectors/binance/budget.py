"""One budget for all that this process asks of an exchange: its limits are per IP address.

Each shard has its own thread and its own connections; what they may use together is counted here.
"""

import threading
import time
from functools import lru_cache

from core.exchange.limiter import AttemptBudget, WeightBudget
from telemetry import metrics

_FIREWALL_S = 120.0


class Budget:
    """REST weight and connection attempts, for several threads; times are wall seconds."""

    def __init__(self, weight_per_minute: int) -> None:
        self._lock = threading.Lock()
        self._weight = WeightBudget(limit=weight_per_minute)
        self._attempts = AttemptBudget()

        self.spent = 0  # weight since the start
        self._limit = weight_per_minute

    def ask(self, weight: int, now: float, *, urgent: bool) -> float:
        """Reserve weight and return 0.0, or the seconds after which to ask again."""
        with self._lock:
            delay = self._weight.delay(weight, now, urgent=urgent)
            if not delay:
                self.spent += weight
                metrics.REST_WEIGHT.inc(weight)
            return delay

    def dial(self, now: float) -> float:
        """Count an attempt to connect and return 0.0, or the seconds after which to ask again."""
        with self._lock:
            return self._attempts.delay(now)

    def used(self, now: float) -> int:
        """Return the weight used in this minute."""
        with self._lock:
            return self._weight.used(now)

    def show(self) -> None:
        """Have the metrics tell of this budget."""
        metrics.REST_LIMIT.set(self._limit)
        metrics.REST_USED.set_function(lambda: self.used(time.time()))

    def observed(self, used: int, now: float) -> None:
        """Take the exchange's word for the weight used."""
        with self._lock:
            self._weight.observed(used, now)

    def refused(self, status: int, retry_after: str | None, now: float) -> float:
        """Take an answer 429, 418 or 403; return the seconds for which nothing will be asked.

        A ban (418) and the firewall's refusal (403) concern sockets as well as REST
        (node-binance-api#233); 403 tells no time, so two minutes are assumed.
        """
        metrics.REST_REFUSED.labels(str(status)).inc()
        seconds = _seconds(retry_after, _FIREWALL_S if status == 403 else 60.0)
        with self._lock:
            self._weight.punished(seconds, now)
            if status != 429:
                self._attempts.punished(seconds, now)
        return seconds


@lru_cache(maxsize=64)
def shared(rest_url: str, weight_per_minute: int) -> Budget:
    """Return the budget of an exchange's address, the same for every shard of this process."""
    found = Budget(weight_per_minute)
    found.show()
    return found


def _seconds(text: str | None, otherwise: float) -> float:
    try:
        return max(0.0, float(text)) if text else otherwise
    except ValueError:
        return otherwise
