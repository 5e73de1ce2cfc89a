"""Options of the commands that read streams for a consumer group."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from connectors.redis.keys import KINDS
from core.market.errors import ConfigError
from subscribers.consumer import ALL, LASTING, NEW
from subscribers.stand import before

_ID = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)
_MS = re.compile(r"\d{1,16}", re.ASCII)

Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", "-k", help=f"One of {', '.join(KINDS)}; all but forming."),
]
Symbols = Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Only these symbols.")]
Intervals = Annotated[
    list[str] | None, typer.Option("--interval", "-i", help="Only these, of klines.")
]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Of this consumer; the same after a restart, it goes on at once."),
]
From = Annotated[
    str,
    typer.Option(
        "--from", help="Where a new group begins: all, new, an entry's id, or a UTC time."
    ),
]
MinIdle = Annotated[
    float,
    typer.Option(min=0.001, help="Seconds after which others take over what was not acknowledged."),
]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which streams."""

    kinds: tuple[str, ...]
    symbols: tuple[str, ...]
    intervals: tuple[str, ...]

    @classmethod
    def of(
        cls, kinds: list[str] | None, symbols: list[str] | None, intervals: list[str] | None
    ) -> "Chosen":
        """Return what was chosen on the command line."""
        return cls(tuple(kinds or LASTING), tuple(symbols or ()), tuple(intervals or ()))


def start_of(text: str) -> str:
    """Return where a group begins, as `Consumer` takes it.

    >>> start_of("all"), start_of("17-3"), start_of("1970-01-01T00:00:01")
    ('all', '17-3', '999-18446744073709551615')

    Raises:
        ConfigError: It is none of these.

    """
    if text in {ALL, NEW} or _ID.fullmatch(text):
        return text
    if _MS.fullmatch(text):
        return before(f"{text}-0")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        hint = "all, new, 1723161600000-17, or 2024-08-09T00:00"
        raise ConfigError("--from", f"`{text}` is no place to begin", hint=hint) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return before(f"{max(0, int(at.timestamp() * 1000))}-0")
