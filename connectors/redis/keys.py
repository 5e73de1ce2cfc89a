"""Every key's name, built in one place.

``md:{binance:BTCUSDT}:trade``: the braces make all keys of an instrument share a cluster slot, so
that one call may write them all at once.
"""

import re
from dataclasses import dataclass

_STREAM = re.compile(
    r"md:\{(?P<key>[^{}]+)\}:"
    r"(?:(?P<kind>trade|signal|fill|equity|event|quarantine|feature|prediction|score)"
    r"|kline:(?P<interval>[^:]+)(?P<forming>:forming)?)"
)

REGISTRY = "md:~keys"
"""A set of the names of all streams. It shares no slot with them: written beside the entries, so
that readers need not scan, and never relied on for them."""

CONTROL = "md:~control"
"""Commands to flows."""

OUTCOMES = "md:~outcomes"
"""What became of them."""

FLOWS = "md:~flows"
"""A hash of how flows are, one field per process."""

JOBS = "md:~jobs"
"""A hash of replays and back-tests, one field per job: its record as JSON."""

JOB_ENDS = "md:~jobs:ends"
"""A hash of jobs that somebody wants to end, by their ids."""

PATTERN = "md:{*}:*"
"""Matches every stream and meta hash."""

KINDS = (
    "trade", "kline", "forming", "signal", "fill", "equity", "event", "quarantine", "feature",
    "prediction", "score",
)  # fmt: skip
"""The kinds of streams."""


@dataclass(frozen=True, slots=True)
class StreamName:
    """What a stream's name says."""

    key: str
    kind: str
    interval: str = ""


def stream_key(key: str, kind: str, interval: str = "") -> str:
    """Return the name of a stream.

    >>> stream_key("binance:BTCUSDT", "trade"), stream_key("binance:BTCUSDT", "forming", "1m")
    ('md:{binance:BTCUSDT}:trade', 'md:{binance:BTCUSDT}:kline:1m:forming')
    """
    if kind == "kline":
        return f"md:{{{key}}}:kline:{interval}"
    if kind == "forming":
        return f"md:{{{key}}}:kline:{interval}:forming"
    return f"md:{{{key}}}:{kind}"


def meta_key(key: str) -> str:
    """Return the name of the hash that holds generation and high-water marks."""
    return f"md:{{{key}}}:~w"


def dead_key(group: str) -> str:
    """Return the stream of the entries that a consumer group gave up.

    >>> dead_key("db")
    'md:~dead:db'
    """
    return f"md:~dead:{group}"


def parse_key(name: str) -> StreamName | None:
    """Return what a name says; None if it names no stream of ours.

    >>> parse_key("md:{binance:BTCUSDT}:kline:1m:forming")
    StreamName(key='binance:BTCUSDT', kind='forming', interval='1m')
    """
    match = _STREAM.fullmatch(name)
    if match is None:
        return None
    if match["kind"]:
        return StreamName(match["key"], match["kind"])
    kind = "forming" if match["forming"] else "kline"
    return StreamName(match["key"], kind, match["interval"])
