"""What a session wants done: its driver carries these out and feeds back what came of them."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Send:
    """Send a text on the link; the driver keeps the exchange's message rate."""

    link: int
    text: str


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the link."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class FetchTrades:
    """Ask REST for a symbol's trades from an id on; answer with a ``page`` of that number."""

    request: int
    symbol: str
    from_id: int
    limit: int


@dataclass(frozen=True, slots=True)
class FetchNewest:
    """Ask REST for a symbol's newest trade; answer with a ``page`` of that number."""

    request: int
    symbol: str


@dataclass(frozen=True, slots=True)
class FetchStatus:
    """Ask REST for the trading status of all symbols; answer with a ``status`` input."""


@dataclass(frozen=True, slots=True)
class FetchTime:
    """Ask REST for the exchange's time; answer with a ``time`` input."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Open one more link beside the one that is there."""

    reason: str


Request: TypeAlias = Send | Hangup | FetchTrades | FetchNewest | FetchStatus | FetchTime | Dial
