"""Metrics and what is known of them: each is declared once, with its type, labels and meaning.

`docs/reference/metrics.md` is written from this, and tests hold dashboards and alert rules against
it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from telemetry.histogram import RowHistogram

# A further series for each counter, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

QUICK = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Bounds for what takes micro- to milliseconds, in seconds."""
SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Bounds for what may take minutes, in seconds."""


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as people are told of it.

    Attributes:
        name: As it is exposed: of a counter with ``_total``, of a histogram without a suffix.
        kind: Its type.
        help: What it says, in one line.
        labels: Names of its labels.

    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its samples.

        >>> Described("x_seconds", "histogram", "").series
        ('x_seconds_bucket', 'x_seconds_sum', 'x_seconds_count')
        """
        if self.kind != "histogram":
            return (self.name,)
        return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))


class Catalogue:
    """Makes metrics in a registry, and remembers them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._known: list[Described] = []

    def __iter__(self) -> Iterator[Described]:
        return iter(self._known)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Return a new counter; it is exposed as `name` with ``_total``."""
        self.note(f"{name}_total", "counter", text, labels)
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Return a new gauge."""
        self.note(name, "gauge", text, labels)
        return Gauge(name, text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), bounds: Sequence[float] = QUICK
    ) -> Histogram:
        """Return a new histogram of seconds."""
        self.note(name, "histogram", text, labels)
        return Histogram(name, text, labels, registry=self.registry, buckets=bounds)

    def row_histogram(
        self, name: str, text: str, label: str, bounds: Sequence[float] = QUICK, most: int = 100
    ) -> RowHistogram:
        """Return a new histogram whose observations have weights."""
        self.note(name, "histogram", text, (label,))
        return RowHistogram(name, text, label, bounds, self.registry, most=most)

    def note(self, name: str, kind: Kind, text: str, labels: Sequence[str] = ()) -> Described:
        """Remember a metric that somebody else makes."""
        found = Described(name, kind, text, tuple(labels))
        self._known.append(found)
        return found
