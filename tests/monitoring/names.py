"""Which series there are, and which an expression names."""

import re

from api.metrics import ApiMetrics
from telemetry.metrics import FLOW

# Of the client library, and of Prometheus itself.
_OTHERS = {
    "up", "process_start_time_seconds", "process_open_fds", "process_max_fds",
    "process_resident_memory_bytes", "process_cpu_seconds_total",
}  # fmt: skip
_NAME = re.compile(r"(?<![\w:\"])((?:job:)?cryptotools_[\w:]+|process_\w+|up)(?![\w\"])")


def exposed() -> set[str]:
    """Return the names of all series of flows and API."""
    api = ApiMetrics()
    return {name for one in (*FLOW, *api.catalogue) for name in one.series} | _OTHERS


def named(expression: str) -> set[str]:
    """Return the names of series in an expression."""
    return set(_NAME.findall(expression))
