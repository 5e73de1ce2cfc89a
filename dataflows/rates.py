"""Rates and latencies of the last seconds, from counters that only rise."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from telemetry.histogram import quantile
from telemetry.metrics import LATENCY

Link: TypeAlias = tuple[str, int]
"""Shard and number."""

SECONDS = 10.0
"""The interval that is looked at, about."""

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    messages: Mapping[Link, int]
    counts: Mapping[str, tuple[int, ...]]


class Rates:
    """What happened between the newest look and one some seconds before."""

    def __init__(self) -> None:
        self._looks: deque[_Look] = deque()

    def look(self, at: float, messages: Mapping[str, Mapping[int, int]]) -> None:
        """Take how things stand.

        Args:
            at: Monotonic seconds.
            messages: By shard and link, how many came so far.

        """
        flat = {(shard, n): count for shard, of in messages.items() for n, count in of.items()}
        self._looks.append(_Look(at, flat, LATENCY.read()))
        while len(self._looks) > 2 and self._looks[1].at <= at - SECONDS:
            self._looks.popleft()

    def messages(self, shard: str, link: int) -> float | None:
        """Return how many came per second on a link; None where that is not known yet."""
        if len(self._looks) < 2:
            return None
        old, new = self._looks[0], self._looks[-1]
        count = new.messages.get((shard, link), 0) - old.messages.get((shard, link), 0)
        return round(count / (new.at - old.at), 1) if new.at > old.at else None

    def latency(self) -> dict[str, dict[str, float]]:
        """Return p50, p95 and p99 by stage, milliseconds; stages that nothing passed are absent."""
        if len(self._looks) < 2:
            return {}
        old, new = self._looks[0].counts, self._looks[-1].counts
        found: dict[str, dict[str, float]] = {}
        for stage, counts in new.items():
            before = old.get(stage, (0,) * len(counts))
            fresh = [a - b for a, b in zip(counts, before, strict=True)]
            told = {name: quantile(fresh, LATENCY.bounds, q) for name, q in _QUANTILES.items()}
            if None not in told.values():
                found[stage] = {n: round(s * 1000, 3) for n, s in told.items() if s is not None}
        return found
