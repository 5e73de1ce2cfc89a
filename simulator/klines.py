"""Klines straight from the trades, in plain integers: the oracle that others are compared with.

Binance's rules (rest-api.md, "Kline/Candlestick data"; checked against recorded klines): half-open
windows of trade time, UTC; weeks start on Monday; an empty window carries the previous close.
Deliberately shares nothing with the project's own kline computation.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import compress
from operator import mul
from typing import NamedTuple

from simulator.tape import SECOND_US, Block, Cache, Tape

MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
MONTH_US = 0
"""Stands for the calendar month, which has no length."""

INTERVALS = {
    "1s": SECOND_US, "1m": MINUTE_US, "3m": 3 * MINUTE_US, "5m": 5 * MINUTE_US,
    "15m": 15 * MINUTE_US, "30m": 30 * MINUTE_US, "1h": HOUR_US, "2h": 2 * HOUR_US,
    "4h": 4 * HOUR_US, "6h": 6 * HOUR_US, "8h": 8 * HOUR_US, "12h": 12 * HOUR_US,
    "1d": DAY_US, "3d": 3 * DAY_US, "1w": 7 * DAY_US, "1M": MONTH_US,
}  # fmt: skip

# The epoch was a Thursday.
_FIRST_MONDAY_US = 4 * DAY_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Whole windows of these lengths are computed once and put together.
_PARTS = (DAY_US, HOUR_US, MINUTE_US, SECOND_US)
_CACHED_PARTS = 8192


class Bar(NamedTuple):
    """What traded in a window: prices and volumes in ``10**-8``, quote volumes in ``10**-16``."""

    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    quote_volume: int = 0
    trades: int = 0
    buy_volume: int = 0
    buy_quote_volume: int = 0
    first_id: int = -1
    last_id: int = -1


class Kline(NamedTuple):
    """A window, half-open, and what traded in it."""

    open_us: int
    end_us: int
    bar: Bar


@lru_cache(maxsize=4096)
def _month_of_day(day: int) -> tuple[int, int]:
    at = (_EPOCH + timedelta(days=day)).replace(day=1)
    after = (at + timedelta(days=31)).replace(day=1)
    return (at - _EPOCH).days * DAY_US, (after - _EPOCH).days * DAY_US


def window(interval: str, time_us: int, offset_us: int = 0) -> tuple[int, int]:
    """Return the window [open, end) that holds a time; `offset_us` is the time zone's."""
    local = time_us + offset_us
    length = INTERVALS[interval]
    if length == MONTH_US:
        first, end = _month_of_day(local // DAY_US)
        return first - offset_us, end - offset_us
    anchor = _FIRST_MONDAY_US if interval == "1w" else 0
    first = local - (local - anchor) % length
    return first - offset_us, first + length - offset_us


def windows(interval: str, from_us: int, offset_us: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the windows that open at or after a time, without end."""
    first, end = window(interval, from_us, offset_us)
    if first >= from_us:
        yield first, end
    while True:
        first, end = window(interval, end, offset_us)
        yield first, end


class KlineOracle:
    """The klines of one tape."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._parts: dict[int, Cache[tuple[Bar | None]]] = {
            span: Cache(_CACHED_PARTS) for span in _PARTS
        }
        self._summed_us = tape.begin_us

    def advance(self, now_us: int) -> None:
        """Add up what has ended while its trades are at hand: later that would take long."""
        if now_us >= self._summed_us + MINUTE_US:
            self._sum(self._tape.begin_us, now_us, 0)
            self._summed_us = now_us

    def bar(self, from_us: int, until_us: int) -> Bar | None:
        """Return the bar of the trades with ``from <= T < until``.

        Without trades it is flat at the previous close; None when nothing traded before either.
        """
        found = self._sum(max(from_us, self._tape.begin_us), until_us, 0)
        if found is not None:
            return found
        price = self._tape.price_before(from_us)
        return Bar(price, price, price, price) if price else None

    def klines(
        self,
        interval: str,
        start_us: int,
        end_us: int,
        *,
        until_us: int,
        limit: int,
        offset_us: int = 0,
    ) -> list[Kline]:
        """Return the oldest `limit` klines that open in ``[start, end]``, as known at `until`.

        The last one may be unfinished. Windows before the first trade do not exist.
        """
        rows: list[Kline] = []
        first = max(start_us, self._first(interval, offset_us))
        for open_us, close_us in windows(interval, first, offset_us):
            if open_us > end_us or open_us >= until_us or len(rows) == limit:
                return rows
            bar = self.bar(open_us, min(close_us, until_us))
            if bar is not None:
                rows.append(Kline(open_us, close_us, bar))
        return rows

    def latest(
        self, interval: str, end_us: int, *, until_us: int, limit: int, offset_us: int = 0
    ) -> list[Kline]:
        """Return the newest `limit` klines that open at or before `end`, oldest first."""
        first = self._first(interval, offset_us)
        open_us = window(interval, min(end_us, until_us - 1), offset_us)[0]
        for _ in range(limit - 1):
            if open_us <= first:
                break
            open_us = window(interval, open_us - 1, offset_us)[0]
        return self.klines(
            interval, open_us, end_us, until_us=until_us, limit=limit, offset_us=offset_us
        )

    def _first(self, interval: str, offset_us: int) -> int:
        return window(interval, self._tape.begin_us, offset_us)[0]

    def _sum(self, from_us: int, until_us: int, level: int) -> Bar | None:
        """Sum trades, in whole parts of the given level where the range holds some."""
        if level == len(_PARTS) or until_us - from_us < _PARTS[-1]:
            return _merged(_of_block(b, from_us, until_us) for b in self._blocks(from_us, until_us))
        span = _PARTS[level]
        first, last = -(-from_us // span) * span, until_us // span * span
        if first >= last:
            return self._sum(from_us, until_us, level + 1)
        return _merged(
            (
                self._sum(from_us, first, level + 1),
                *(self._part(at, level) for at in range(first, last, span)),
                self._sum(last, until_us, level + 1),
            )
        )

    def _blocks(self, from_us: int, until_us: int) -> Iterator[Block]:
        return self._tape.blocks(from_us, until_us) if from_us < until_us else iter(())

    def _part(self, at_us: int, level: int) -> Bar | None:
        cache = self._parts[_PARTS[level]]
        held = cache.get(at_us)
        if held is None:
            held = (self._sum(at_us, at_us + _PARTS[level], level + 1),)
            cache.put(at_us, held, 1)
        return held[0]


def _of_block(block: Block, from_us: int, until_us: int) -> Bar | None:
    lo, hi = bisect_left(block.times, from_us), bisect_left(block.times, until_us)
    every = block.prices[lo:hi]
    # Bookkeeping, of price 0 and quantity 0, adds nothing to a sum and is no price.
    prices = [price for price in every if price]
    if not prices:
        return None
    sizes, makers = block.quantities[lo:hi], block.makers[lo:hi]
    quotes = list(map(mul, every, sizes))
    volume, quote_volume = sum(sizes), sum(quotes)
    first = next(i for i in range(lo, hi) if block.prices[i])
    last = next(i for i in range(hi - 1, lo - 1, -1) if block.prices[i])
    return Bar(
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        volume,
        quote_volume,
        len(prices),
        volume - sum(compress(sizes, makers)),
        quote_volume - sum(compress(quotes, makers)),
        block.ids[first],
        block.ids[last],
    )


def _merged(parts: Iterable[Bar | None]) -> Bar | None:
    found = [bar for bar in parts if bar is not None]
    if len(found) < 2:
        return found[0] if found else None
    _, highs, lows, _, volumes, quotes, counts, bought, bought_quotes, _, _ = zip(
        *found, strict=True
    )
    return Bar(
        found[0].open,
        max(highs),
        min(lows),
        found[-1].close,
        sum(volumes),
        sum(quotes),
        sum(counts),
        sum(bought),
        sum(bought_quotes),
        found[0].first_id,
        found[-1].last_id,
    )
