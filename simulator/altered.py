"""A market with its own faults: spans without trades, and invalidated aggregates.

A tape is altered when the market opens, so the data is the same at any speed and for every client:

    inner   1 2 3 4 5 6 7 8 9      trades of a tape
    halt          [     )          these never happened
    altered 1 2 3       4 5 6      ids, positions and aggregates go on without a hole

Invalidated aggregates take ids of their own where they stand; no trade belongs to them.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from core.market.errors import ConfigError
from simulator.faults import BadAggregates, Fault, Status
from simulator.market import Listing, Market
from simulator.statuses import HaltedOracle, Statuses
from simulator.tape import Aggregate, Block, Cache, Tape

Span = tuple[int, int]
_CACHED_TRADES = 50_000
_GRID_US = 100_000  # of the spans: an aggregate of USD-M may last so long, and is not to be cut


@dataclass(frozen=True, slots=True)
class _Cut:
    """What a halt takes away, known once its end has come.

    Attributes:
        first_id: Of the first trade taken away, in the inner tape; -1 when there is none.
        position: Of that trade, in the inner tape.
        trades: How many.
        aggregates: How many.

    """

    first_id: int
    position: int
    trades: int
    aggregates: int


class HaltedTape(Tape):
    """The trades of another tape without those of some spans, renumbered."""

    def __init__(self, inner: Tape, spans: Sequence[Span]) -> None:
        self._inner, self._spans = inner, spans
        self.begin_us, self.span_us, self.lag_us = inner.begin_us, inner.span_us, inner.lag_us
        self.first_aggregate_id = inner.first_aggregate_id
        # Of the spans whose end was looked at; `Market.advance` looks at all that is past.
        self._cuts: list[_Cut] = []
        self._cache: Cache[Block] = Cache(_CACHED_TRADES)

    def block(self, index: int) -> Block:
        """Return a block without what was taken away."""
        held = self._cache.get(index)
        if held is None:
            held = self._altered(self._inner.block(index))
            self._cache.put(index, held, len(held) + 1)
        return held

    def _altered(self, block: Block) -> Block:
        if block.end_us <= self._spans[0][0]:
            return block
        self._measure(block.end_us)
        before = [
            c for c, span in zip(self._cuts, self._spans, strict=False) if span[1] <= block.begin_us
        ]
        trades, aggregates = sum(c.trades for c in before), sum(c.aggregates for c in before)
        # Spans that began before this block and go on in it.
        open_ = next((s for s in self._spans if s[0] < block.begin_us < s[1]), None)
        if open_ is not None:
            trades += block.position - self._inner.count_before(open_[0])
            aggregates += block.aggregate_position - self._inner.aggregates_before(open_[0])
        moved = replace(
            block,
            position=block.position - trades,
            aggregate_position=block.aggregate_position - aggregates,
            previous=self._previous(block),
            ids=_minus(block.ids, trades),
        )
        return self._without(moved)

    def block_of_trade(self, position: int) -> int:
        """Return the index of a block that is not after the one with that trade."""
        return self._inner.block_of_trade(self._inner_position(position))

    def block_of_aggregate(self, position: int) -> int:
        """Return the index of a block that is not after the one with that aggregate."""
        return self._inner.block_of_aggregate(position)

    def position_of(self, trade_id: int) -> int:
        """Return the position of the first trade whose id is at least `trade_id`."""
        taken = 0
        for cut in self._cuts:
            if cut.trades and trade_id + taken >= cut.first_id:
                taken += cut.trades
        return self._inner.position_of(trade_id + taken) - taken

    def _inner_position(self, position: int) -> int:
        for cut in self._cuts:
            if position >= cut.position:
                position += cut.trades
        return position

    def _measure(self, time_us: int) -> None:
        """Measure what the spans take away that have ended by a time."""
        for begin, end in self._spans[len(self._cuts) :]:
            if end <= time_us:
                self._cuts.append(self._measured(begin, end))

    def _measured(self, begin_us: int, end_us: int) -> _Cut:
        inner = self._inner
        first = inner.count_before(begin_us)
        gone = inner.trades(first, end_us, 1)
        return _Cut(
            gone[0].id if gone else -1,
            first,
            inner.count_before(end_us) - first,
            inner.aggregates_before(end_us) - inner.aggregates_before(begin_us),
        )

    def _previous(self, block: Block) -> int:
        """Return the price of the last real trade before a block that was not taken away."""
        until_us = block.begin_us
        for begin, end in reversed(self._spans):
            if begin >= until_us:
                continue
            found = self._last_price(end, until_us)
            if found:
                return found
            until_us = begin
        return self._inner.price_before(until_us)

    def _last_price(self, from_us: int, until_us: int) -> int:
        """Return the price of the last real trade in ``[from, until)``; 0 when there is none."""
        if from_us >= until_us:
            return 0
        first, last = self._inner.index_at(from_us), self._inner.index_at(until_us - 1)
        for index in range(last, first - 1, -1):
            block = self._inner.block(index)
            lo, hi = bisect_left(block.times, from_us), bisect_left(block.times, until_us)
            price = next((p for p in reversed(block.prices[lo:hi]) if p), 0)
            if price:
                return price
        return 0

    def _without(self, block: Block) -> Block:
        """Take away from a block what lies in spans."""
        for begin, end in self._spans:
            if begin < block.end_us and end > block.begin_us:
                lo, hi = bisect_left(block.times, begin), bisect_left(block.times, end)
                block = _cut_out(block, lo, hi)
        return block


class InvalidatedTape(Tape):
    """Another tape with invalidated aggregates before some of its blocks: no trades, own ids."""

    def __init__(self, inner: Tape, added: Sequence[tuple[int, int]]) -> None:
        """Take pairs of (time, how many); they stand at the start of the block of that time."""
        self._inner = inner
        self.begin_us, self.span_us, self.lag_us = inner.begin_us, inner.span_us, inner.lag_us
        self.first_aggregate_id = inner.first_aggregate_id
        self._added = sorted((inner.index_at(time_us), count) for time_us, count in added)

    def block(self, index: int) -> Block:
        """Return a block whose aggregates have the ids behind those added."""
        block, extra = self._inner.block(index), self._extra(index)
        if not extra:
            return block
        return replace(block, aggregate_position=block.aggregate_position + extra)

    def block_of_trade(self, position: int) -> int:
        """Return the index of a block that is not after the one with that trade."""
        return self._inner.block_of_trade(position)

    def block_of_aggregate(self, position: int) -> int:
        """Return the index of a block that is not after the one with that aggregate."""
        return self._inner.block_of_aggregate(max(0, position - sum(n for _, n in self._added)))

    def position_of(self, trade_id: int) -> int:
        """Return the position of the first trade whose id is at least `trade_id`."""
        return self._inner.position_of(trade_id)

    def _extra(self, index: int) -> int:
        return sum(count for at, count in self._added if at <= index)

    def _aggregates(self, position: int, until_us: int) -> Iterator[Aggregate]:
        start = self.begin_us + self.block_of_aggregate(position) * self.span_us
        for block in self.blocks(start, until_us):
            yield from self._invalid(block, position)
            first = max(0, position - block.aggregate_position)
            for aggregate in block.aggregates(self.first_aggregate_id, first):
                if aggregate.time_us >= until_us:
                    return
                yield aggregate

    def _invalid(self, block: Block, position: int) -> Iterator[Aggregate]:
        count = sum(n for at, n in self._added if at == self.index_at(block.begin_us))
        first = block.aggregate_position - count
        for number in range(max(first, position), first + count):
            yield Aggregate(self.first_aggregate_id + number, block.begin_us, 0, 0, False, -1, -1)


def altered(market: Market, faults: Iterable[Fault]) -> Market:
    """Return a market as its own faults make it; `ConfigError` for one it cannot have."""
    faults = tuple(faults)
    listings = dict(market.listings)
    for fault in faults:
        wanted = fault.symbol if isinstance(fault, Status | BadAggregates) else ""
        if wanted and wanted not in listings:
            known = f"known are {' '.join(listings)}"
            raise ConfigError("faults", f"`symbol={wanted}` is not traded here", hint=known)
    for symbol, listing in listings.items():
        own = [
            f for f in faults if isinstance(f, Status | BadAggregates) and f.symbol in ("", symbol)
        ]
        if own:
            listings[symbol] = _altered(listing, own, market.start_us)
    return replace(market, listings=listings)


def _altered(listing: Listing, faults: list[Status | BadAggregates], start_us: int) -> Listing:
    statuses = _statuses([f for f in faults if isinstance(f, Status)], start_us)
    added = [
        (start_us + (f.after_us or 0), f.count) for f in faults if isinstance(f, BadAggregates)
    ]
    tape = listing.tape
    if statuses.spans:
        tape = HaltedTape(tape, _merged(statuses))
    if added:
        tape = InvalidatedTape(tape, added)
    return replace(listing, tape=tape, klines=HaltedOracle(tape, statuses), statuses=statuses)


def _statuses(faults: list[Status], start_us: int) -> Statuses:
    spans = sorted(
        (_on_grid(begin), _on_grid(end), fault.status)
        for fault in faults
        for begin, end in [fault.span(start_us)]
    )
    for before, after in pairwise(spans):
        if before[1] > after[0]:
            why = f"{before[2]} and {after[2]} of one symbol overlap"
            raise ConfigError("faults", why, hint="let the first end with `for` before the next")
    return Statuses(tuple(spans))


def _on_grid(time_us: int) -> int:
    return time_us - time_us % _GRID_US


def _merged(statuses: Statuses) -> list[Span]:
    merged: list[Span] = []
    for begin, end, _ in statuses.spans:
        if merged and merged[-1][1] == begin:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged


def _minus(ids: Sequence[int], count: int) -> Sequence[int]:
    if isinstance(ids, range):
        return range(ids.start - count, ids.stop - count)
    return array("q", [number - count for number in ids]) if count else ids


def _cut_out(block: Block, lo: int, hi: int) -> Block:
    """Return a block without the trades ``lo <= i < hi``; what follows is renumbered."""
    first, last = bisect_left(block.starts, lo), bisect_left(block.starts, hi)
    gone = hi - lo
    return replace(
        block,
        ids=[*block.ids[:lo], *_minus(block.ids[hi:], gone)],
        times=[*block.times[:lo], *block.times[hi:]],
        events=[*block.events[:lo], *block.events[hi:]],
        prices=[*block.prices[:lo], *block.prices[hi:]],
        quantities=[*block.quantities[:lo], *block.quantities[hi:]],
        makers=[*block.makers[:lo], *block.makers[hi:]],
        starts=[*block.starts[:first], *(start - gone for start in block.starts[last:])],
    )
