"""What the exchange as a whole does: the same for every client, at any speed."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from simulator.faults.base import Fault

HaltName = Literal["HALT", "BREAK", "CANCEL_ONLY"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFault(Fault):
    """It lasts from `after` (the start, if not given) for `for` (for ever, if not given).

    Attributes:
        for_us: How long, in microseconds of exchange time.

    """

    for_us: int | None = None

    def span(self, start_us: int) -> tuple[int, int]:
        """Return its exchange times, from and until."""
        begin = start_us + (self.after_us or 0)
        return begin, begin + self.for_us if self.for_us is not None else 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(MarketFault):
    """List a symbol (all without `symbol`) with another status; nothing trades meanwhile.

    Trade ids go on behind it without a hole. In HALT kline frames and rows go on, flat. In BREAK
    and CANCEL_ONLY there are no kline frames, and no rows of klines that lie wholly inside.
    """

    kind: ClassVar[str] = "status"
    fact: ClassVar[str] = (
        "HALT still gives market data, CANCEL_ONLY all but klines, BREAK none; maintenance leaves "
        "no klines in history, and ids go on without a hole"
    )

    symbol: str = ""
    status: HaltName = "BREAK"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadAggregates(Fault):
    """Put `count` invalidated aggregates into history: own ids, ``p=0 q=0 f=-1 l=-1``, no trades.

    The stream never says them: its ids jump over them, REST has them where they belong.
    """

    kind: ClassVar[str] = "badagg"
    fact: ClassVar[str] = (
        "history of `aggTrades` has such rows where duplicates were (changelog of 2022-04-12)"
    )

    symbol: str = ""
    count: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew(MarketFault):
    """Let the clock that stamps `E` and `serverTime` be wrong by `by`; `T`, ids and klines are not.

    When it begins and ends, `E` jumps, also backwards.
    """

    kind: ClassVar[str] = "skew"
    fact: ClassVar[str] = "not documented; in captures `E` never fell, and was never before `T`"

    by_us: int = -3_000_000
