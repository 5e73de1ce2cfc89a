"""A symbol's trades as a pure function of time: blocks that can be read again and again.

    position   ordinal of a trade in the tape; the same for aggregates
    block      all trades of a half-open span of trade time, built when somebody looks

Numbers are integers: times in microseconds, prices and quantities in units of ``10**-8``, the
eight places that Binance Spot prints.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

SECOND_US = 1_000_000
UNITS = 10**8

_Value = TypeVar("_Value")


class Trade(NamedTuple):
    """One trade; price and quantity 0 mark the exchange's bookkeeping."""

    id: int
    time_us: int
    price: int
    quantity: int
    buyer_is_maker: bool


class Aggregate(NamedTuple):
    """The trades of one taker order at one price; `first_id` is -1 for bookkeeping."""

    id: int
    time_us: int
    price: int
    quantity: int
    buyer_is_maker: bool
    first_id: int
    last_id: int


@dataclass(frozen=True, slots=True)
class Block:
    """The trades with ``begin_us <= T < end_us``, in columns, in id order.

    Attributes:
        position: Trades in the tape before this block.
        aggregate_position: Aggregates in the tape before this block.
        previous: Price of the last real trade before this block; 0 when there is none.
        times: Trade time ``T``, never decreasing.
        events: Time ``E`` at which the stream says it, never decreasing, never before ``T``.
        starts: Index at which each aggregate starts.

    """

    begin_us: int
    end_us: int
    position: int
    aggregate_position: int
    previous: int
    ids: Sequence[int]
    times: Sequence[int]
    events: Sequence[int]
    prices: Sequence[int]
    quantities: Sequence[int]
    makers: Sequence[int]
    starts: Sequence[int]

    def __len__(self) -> int:
        return len(self.times)

    def trades(self, first: int = 0) -> Iterator[Trade]:
        """Yield the trades from that index on."""
        for i in range(first, len(self.times)):
            yield Trade(
                self.ids[i],
                self.times[i],
                self.prices[i],
                self.quantities[i],
                bool(self.makers[i]),
            )

    def aggregates(self, first_aggregate_id: int, first: int = 0) -> Iterator[Aggregate]:
        """Yield the aggregates from the `first` one of the block on."""
        for k in range(first, len(self.starts)):
            lo = self.starts[k]
            hi = self.starts[k + 1] if k + 1 < len(self.starts) else len(self.times)
            real = self.prices[lo] > 0
            yield Aggregate(
                first_aggregate_id + self.aggregate_position + k,
                self.times[lo],
                self.prices[lo],
                sum(self.quantities[lo:hi]),
                bool(self.makers[lo]),
                self.ids[lo] if real else -1,
                self.ids[hi - 1] if real else -1,
            )


class Tape(ABC):
    """One symbol's trades.

    Attributes:
        begin_us: No trade is before it; a multiple of `span_us`.
        span_us: Length of a block.
        lag_us: Longest ``E - T``.

    """

    begin_us: int
    span_us: int
    lag_us: int
    first_aggregate_id: int = 1

    @abstractmethod
    def block(self, index: int) -> Block:
        """Return the block that starts at ``begin_us + index * span_us``; `index` from 0."""

    @abstractmethod
    def block_of_trade(self, position: int) -> int:
        """Return the index of a block that is not after the one with that trade."""

    @abstractmethod
    def block_of_aggregate(self, position: int) -> int:
        """Return the index of a block that is not after the one with that aggregate."""

    @abstractmethod
    def position_of(self, trade_id: int) -> int:
        """Return the position of the first trade whose id is at least `trade_id`."""

    def index_at(self, time_us: int) -> int:
        """Return the index of the block that holds that time; 0 for times before the first."""
        return max(0, (time_us - self.begin_us) // self.span_us)

    def blocks(self, from_us: int, until_us: int) -> Iterator[Block]:
        """Yield the blocks that overlap ``[from_us, until_us)``."""
        if until_us <= self.begin_us:
            return
        for index in range(self.index_at(from_us), self.index_at(until_us - 1) + 1):
            yield self.block(index)

    def count_before(self, time_us: int) -> int:
        """Return how many trades have ``T < time_us``."""
        if time_us <= self.begin_us:
            return 0
        block = self.block(self.index_at(time_us))
        return block.position + bisect_left(block.times, time_us)

    def aggregates_before(self, time_us: int) -> int:
        """Return how many aggregates have ``T < time_us``."""
        if time_us <= self.begin_us:
            return 0
        block = self.block(self.index_at(time_us))
        # An aggregate is one instant: it is before a time when its first trade is.
        inside = bisect_left(block.starts, bisect_left(block.times, time_us))
        return block.aggregate_position + inside

    def trades(self, position: int, until_us: int, limit: int) -> list[Trade]:
        """Return at most `limit` trades from a position on, with ``T < until_us``."""
        return list(islice(self._trades(position, until_us), limit))

    def aggregates(self, position: int, until_us: int, limit: int) -> list[Aggregate]:
        """Return at most `limit` aggregates from a position on, with ``T < until_us``."""
        return list(islice(self._aggregates(position, until_us), limit))

    def price_before(self, time_us: int) -> int:
        """Return the price of the last real trade with ``T < time_us``; 0 when there is none."""
        if time_us <= self.begin_us:
            return 0
        block = self.block(self.index_at(time_us))
        for i in range(bisect_left(block.times, time_us) - 1, -1, -1):
            if block.prices[i]:
                return block.prices[i]
        return block.previous

    def _trades(self, position: int, until_us: int) -> Iterator[Trade]:
        start = self.begin_us + self.block_of_trade(position) * self.span_us
        for block in self.blocks(start, until_us):
            for trade in block.trades(max(0, position - block.position)):
                if trade.time_us >= until_us:
                    return
                yield trade

    def _aggregates(self, position: int, until_us: int) -> Iterator[Aggregate]:
        start = self.begin_us + self.block_of_aggregate(position) * self.span_us
        for block in self.blocks(start, until_us):
            first = max(0, position - block.aggregate_position)
            for aggregate in block.aggregates(self.first_aggregate_id, first):
                if aggregate.time_us >= until_us:
                    return
                yield aggregate


class Cache(Generic[_Value]):
    """The least recently used values go when their costs pass a limit; the newest two stay."""

    def __init__(self, limit: int) -> None:
        self._limit, self._cost = limit, 0
        self._held: OrderedDict[int, tuple[_Value, int]] = OrderedDict()

    def get(self, key: int) -> _Value | None:
        """Return the value of a key, or None."""
        held = self._held.get(key)
        if held is None:
            return None
        self._held.move_to_end(key)
        return held[0]

    def put(self, key: int, value: _Value, cost: int) -> None:
        """Hold a value under a key that is not held."""
        self._held[key] = (value, cost)
        self._cost += cost
        while self._cost > self._limit and len(self._held) > 2:
            _, (_, freed) = self._held.popitem(last=False)
            self._cost -= freed


def between(events: Sequence[int], after_us: int, until_us: int) -> slice:
    """Return the slice of sorted times with ``after_us < time <= until_us``."""
    return slice(bisect_right(events, after_us), bisect_right(events, until_us))
