"""A tape as USD-M shows it: some fills take ids and are never shown, aggregates span 100 ms.

    inner    1 2 | 3 4 5 | 6 7 | 8      orders at one price
    hidden           ^     ^            insurance fund, ADL: an id, no trade to see
    shown    1 2 | 3   5     7 | 8      same price and side within 100 ms are one aggregate

So trade ids have holes, between aggregates and inside of them; aggregate ids have none (derivatives
documentation, "Aggregate Trade Streams"; binance-public-data#363, #378).
"""

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import replace
from typing import Final

from simulator.tape import Block, Cache, Tape

CELL_US: Final = 100_000
"""Fills of one price and side within such a span of time are one aggregate."""

_CACHED_TRADES = 50_000
_GOLDEN = 0x9E37_79B9_7F4A_7C15
_MASK = (1 << 64) - 1


class UsdmTape(Tape):
    """The shown trades of another tape; a block is known once all before it are."""

    def __init__(self, inner: Tape, *, unpublished: float) -> None:
        self._inner = inner
        self.begin_us, self.span_us = inner.begin_us, inner.span_us
        # An aggregate is said after its last fill.
        self.lag_us = inner.lag_us + 2 * CELL_US
        self.first_aggregate_id = inner.first_aggregate_id
        self._threshold = int(unpublished * (_MASK + 1))
        self._cache: Cache[Block] = Cache(_CACHED_TRADES)
        # By block: what is shown before it, and the price before it.
        self._trades_before = array("q", [0])
        self._aggregates_before = array("q", [0])
        self._price_before = array("q", [0])

    def block(self, index: int) -> Block:
        """Return a block as it is shown."""
        for i in range(len(self._trades_before) - 1, index):
            self._count(self._known(i))
        return self._known(index)

    def block_of_trade(self, position: int) -> int:
        """Return the index of the last known block that begins at or before that trade."""
        return max(0, bisect_right(self._trades_before, position) - 1)

    def block_of_aggregate(self, position: int) -> int:
        """Return the index of the last known block that begins at or before that aggregate."""
        return max(0, bisect_right(self._aggregates_before, position) - 1)

    def position_of(self, trade_id: int) -> int:
        """Return the position of the first trade that is known and has at least that id."""
        first = self._inner.block_of_trade(self._inner.position_of(trade_id))
        for index in range(first, len(self._trades_before)):
            block = self.block(index)
            if len(block) and block.ids[-1] >= trade_id:
                return block.position + bisect_left(block.ids, trade_id)
        return self._trades_before[-1]

    def _count(self, block: Block) -> None:
        last = next((price for price in reversed(block.prices) if price), block.previous)
        self._trades_before.append(block.position + len(block))
        self._aggregates_before.append(block.aggregate_position + len(block.starts))
        self._price_before.append(last)

    def _known(self, index: int) -> Block:
        held = self._cache.get(index)
        if held is not None:
            return held
        made = replace(
            self._shown(self._inner.block(index)),
            position=self._trades_before[index],
            aggregate_position=self._aggregates_before[index],
            previous=self._price_before[index],
        )
        self._cache.put(index, made, len(made) + 1)
        return made

    def _shown(self, block: Block) -> Block:
        hidden = self._hidden(block)
        orders = _Orders(block)
        ends = [*block.starts[1:], len(block)]
        for lo, hi in zip(block.starts, ends, strict=False):
            fills = [i for i in range(lo, hi) if i not in hidden]
            if fills:
                orders.add(fills)
        return orders.block()

    def _hidden(self, block: Block) -> set[int]:
        found = {i for i, n in enumerate(block.ids) if (n * _GOLDEN & _MASK) < self._threshold}
        # A symbol is listed with a trade: the very first one is always shown.
        return found - {-block.position}


class _Orders:
    """The orders of a block that are shown, put together into aggregates."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._rows: list[int] = []
        self._starts = array("q")

    def add(self, fills: list[int]) -> None:
        """Add an order's fills at one price, by their index in the block."""
        if not self._joins(fills[0]):
            self._starts.append(len(self._rows))
        self._rows += fills

    def block(self) -> Block:
        """Return what was added."""
        block, rows = self._block, self._rows
        if len(rows) == len(block):
            return replace(block, starts=self._starts)
        return replace(
            block,
            ids=array("q", [block.ids[i] for i in rows]),
            times=array("q", [block.times[i] for i in rows]),
            events=array("q", [block.events[i] for i in rows]),
            prices=array("q", [block.prices[i] for i in rows]),
            quantities=array("q", [block.quantities[i] for i in rows]),
            makers=bytes(bytearray(block.makers[i] for i in rows)),
            starts=self._starts,
        )

    def _joins(self, at: int) -> bool:
        block = self._block
        if not self._starts or not block.prices[at]:
            return False
        before = self._rows[self._starts[-1]]
        same = block.prices[before] == block.prices[at] and block.makers[before] == block.makers[at]
        return same and block.times[before] // CELL_US == block.times[at] // CELL_US
