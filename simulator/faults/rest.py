"""What becomes of REST answers. Each may be limited to a path, such as ``/api/v3/aggTrades``."""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from simulator.faults.base import Fault

HISTORY: Final = ("historicalTrades", "aggTrades", "klines", "uiKlines")
"""Endpoints that read from a database, which may be behind."""
PAGES: Final = ("historicalTrades", "aggTrades")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestFault(Fault):
    """It happens to REST requests.

    Attributes:
        path: Only to that path; its last part is enough.
        count: To so many requests. None: to all of its while, to one if it has none.

    """

    only: ClassVar[tuple[str, ...]] = ()
    """Last parts of the paths that it can concern; all when empty."""

    path: str = ""
    count: int | None = None

    @property
    def while_us(self) -> int | None:
        """How long it lasts; None when only requests are counted."""
        return getattr(self, "for_us", None)

    def concerns(self, path: str) -> bool:
        """Say whether a request for a path meets it."""
        last = path.rpartition("/")[2]
        if self.only and last not in self.only:
            return False
        return not self.path or path == self.path or last == self.path.strip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestStatus(RestFault):
    """Answer with an error instead, with the body and headers that Binance gives it.

    `retry_after` is the header's value; 429 and 418 have one without it, too.
    """

    kind: ClassVar[str] = "rest"
    fact: ClassVar[str] = (
        "429: over the limit, 418: banned for going on, both with `Retry-After`; 403: the "
        "firewall, an HTML page; 5xx: their side, HTML or JSON"
    )

    status: Literal[429, 418, 403, 500, 502, 503, 504] = 503
    for_us: int | None = None
    retry_after_us: int | None = None
    body: Literal["usual", "json", "html"] = "usual"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestHang(RestFault):
    """Accept the request and never answer, or, with `for`, only after that while."""

    kind: ClassVar[str] = "resthang"
    fact: ClassVar[str] = "the servers give up after 10 s themselves, with code -1007"

    for_us: int | None = None

    @property
    def while_us(self) -> int | None:
        """Return None: `for` is how long each answer hangs."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestLag(RestFault):
    """Let historicalTrades, aggTrades and klines be `lag` behind, for a while."""

    kind: ClassVar[str] = "restlag"
    fact: ClassVar[str] = (
        "these read from a database and may be behind the stream by an unstated amount; `trades` "
        "reads from memory"
    )
    only: ClassVar[tuple[str, ...]] = HISTORY

    lag_us: int = 5_000_000
    for_us: int | None = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial(RestFault):
    """Answer pages of trades and aggregates with at most `rows` rows though more exist; 0: none."""

    kind: ClassVar[str] = "partial"
    fact: ClassVar[str] = "`limit` is a maximum; nothing says that a short page is the last one"
    only: ClassVar[tuple[str, ...]] = PAGES

    rows: int = 10
    for_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Torn(RestFault):
    """Cut the body off: ``kind=body`` with a length that fits, ``kind=length`` with the full one.

    The connection then ends.
    """

    kind: ClassVar[str] = "torn"
    fact: ClassVar[str] = "not documented; whatever stands between may do it"

    what: Literal["body", "length"] = "body"
    for_us: int | None = None
