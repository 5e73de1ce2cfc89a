"""A market from a seed: a random walk around slow waves, traded by taker orders.

Each block draws from dice seeded by (seed, symbol, block), and hands its last prices and ids to
the next one. So trades depend on seed, start and time alone, never on who looks, when or how
fast; what was forgotten is made again from the last mark.

The shape follows a measured quarter of an hour of BTCUSDT: most neighbours share a millisecond,
a rare order sweeps hundreds of fills, and ``E - T`` is 1 ms with a tail to 220 ms.
"""

import math
import zlib
from array import array
from bisect import bisect_right
from random import Random
from typing import NamedTuple

from simulator.config import SymbolSettings
from simulator.tape import SECOND_US, UNITS, Block, Cache, Tape

LAG_US = 220_000
MARK_US = 60 * SECOND_US
"""Marks, from which blocks are made again, are this far apart."""

_CACHED_TRADES = 200_000
_QUIET = 0.5  # trades per second below which a block is a minute instead of a second
_EXTRA_FILLS = 1 / (math.exp(0.5) - 1)  # mean of floor(2 * Exp(1))
_SWEEP_MIN, _SWEEP_SPAN = 50, 650
_CLUSTER = 0.7  # share of orders that come by themselves
_WAVES = ((5_400.0, 0.008), (420.0, 0.003))  # (period in seconds, share of the price)


class _State(NamedTuple):
    """What a block hands to the next: counts, best bid in ticks, last price, last ``E``."""

    trades: int
    aggregates: int
    bid: int
    price: int
    event_us: int


class SyntheticTape(Tape):
    """The trades of one made-up symbol."""

    lag_us = LAG_US

    def __init__(
        self, symbol: SymbolSettings, *, seed: int, begin_us: int, bookkeeping: float = 0.0
    ) -> None:
        self.span_us = SECOND_US if symbol.rate >= _QUIET else MARK_US
        self.begin_us = begin_us - begin_us % self.span_us
        self.first_aggregate_id = symbol.first_aggregate_id
        self.symbol, self.bookkeeping = symbol, bookkeeping
        self.tick, self.step = int(symbol.tick * UNITS), int(symbol.step * UNITS)
        self.base = int(symbol.price / symbol.tick)
        self.size = 5 * float(symbol.notional / symbol.price / symbol.step)
        fills = 1 + _EXTRA_FILLS + symbol.burst * (_SWEEP_MIN + _SWEEP_SPAN / 2)
        self._gap_us = fills / symbol.rate * SECOND_US
        self._salt = (seed << 96) | (zlib.crc32(symbol.symbol.encode()) << 64)
        dice = Random(self._salt)
        self._phases = [dice.random() * math.tau for _ in _WAVES]
        self._per_mark = MARK_US // self.span_us
        self._marks = [_State(0, 0, self.base, 0, 0)]
        self._cache: Cache[tuple[Block, _State]] = Cache(_CACHED_TRADES)

    def block(self, index: int) -> Block:
        """Return a block, making what is missing between the last mark and it."""
        held = self._cache.get(index)
        return held[0] if held else self._make(index)

    def block_of_trade(self, position: int) -> int:
        """Return the first block of the marked stretch that holds the trade."""
        mark = bisect_right(self._marks, position, key=lambda state: state.trades) - 1
        return max(0, mark) * self._per_mark

    def block_of_aggregate(self, position: int) -> int:
        """Return the first block of the marked stretch that holds the aggregate."""
        mark = bisect_right(self._marks, position, key=lambda state: state.aggregates) - 1
        return max(0, mark) * self._per_mark

    def position_of(self, trade_id: int) -> int:
        """Return the position of an id: ids are contiguous."""
        return max(0, trade_id - self.symbol.first_id)

    def target(self, time_us: int) -> float:
        """Return the price in ticks that the walk is pulled to."""
        waves = sum(
            share * math.sin(math.tau * time_us / SECOND_US / period + phase)
            for (period, share), phase in zip(_WAVES, self._phases, strict=True)
        )
        return self.base * (1 + waves)

    def _make(self, index: int) -> Block:
        first, state = self._nearest(index)
        for i in range(first, index + 1):
            if i % self._per_mark == 0 and i // self._per_mark == len(self._marks):
                self._marks.append(state)
            block, state = self._step(i, state)
            self._cache.put(i, (block, state), len(block) + 1)
        return block

    def _nearest(self, index: int) -> tuple[int, _State]:
        """Return the first block to make and the state it starts from."""
        mark = min(index // self._per_mark, len(self._marks) - 1)
        for i in range(index - 1, mark * self._per_mark - 1, -1):
            held = self._cache.get(i)
            if held is not None:
                return i + 1, held[1]
        return mark * self._per_mark, self._marks[mark]

    def _step(self, index: int, state: _State) -> tuple[Block, _State]:
        begin = self.begin_us + index * self.span_us
        draft = _Draft(self, state, Random(self._salt + begin // SECOND_US))
        draft.drift(begin)
        if not state.trades:
            draft.order(begin)  # a symbol is listed with a trade: from then on it has a price
        rnd, log, gap = draft.rnd, math.log, self._gap_us / _CLUSTER
        at, end = begin - log(1.0 - rnd()) * gap, begin + self.span_us
        while at < end:
            draft.order(int(at))
            # Orders come in clusters: three of ten follow at once.
            at += rnd() * 200.0 if rnd() > _CLUSTER else -log(1.0 - rnd()) * gap
        return draft.block(begin, end)


class _Draft:
    """One block in the making."""

    def __init__(self, tape: SyntheticTape, before: _State, dice: Random) -> None:
        self.rnd = dice.random
        self._tape, self._before = tape, before
        self._bid, self._event = before.bid, before.event_us
        self._buying = 0.5
        self._times: list[int] = []
        self._events: list[int] = []
        self._prices: list[int] = []
        self._quantities: list[int] = []
        self._makers: list[int] = []
        self._starts: list[int] = []

    def drift(self, begin_us: int) -> None:
        """Move the bid towards the target, with noise; takers lean the same way."""
        tape = self._tape
        away = tape.target(begin_us) - self._bid
        pull = 1.0 - 0.85 ** (tape.span_us / SECOND_US)
        noise = (self.rnd() - 0.5) * tape.base * 6e-5
        self._bid = max(2, self._bid + math.floor(away * pull + noise + self.rnd()))
        lean = away / (tape.base * 5e-4)
        self._buying = 0.5 + 0.3 * max(-1.0, min(1.0, lean))

    def order(self, time_us: int) -> None:
        """Add the fills of one taker order: up through the asks, or down through the bids."""
        rnd, buy = self.rnd, self.rnd() < self._buying
        late = 20_000 + rnd() * 199_000 if rnd() < 0.015 else 300 + rnd() * 1_400
        self._event = max(self._event, time_us + int(late))
        if self._tape.bookkeeping and rnd() < self._tape.bookkeeping:
            self._fill(time_us, 0, [0], buy)
        left = 1 + int(-2.0 * math.log(1.0 - rnd()))
        if rnd() < self._tape.symbol.burst:
            left = _SWEEP_MIN + int(rnd() * _SWEEP_SPAN)
        wobble = (rnd() - 0.5) * self._tape.base * 1e-5
        self._bid = max(2, self._bid + math.floor(wobble + rnd()))
        price, way = (self._bid + 1, 1) if buy else (self._bid, -1)
        while left > 0 and price > 0:
            depth = min(left, 1 + int(rnd() * 12))
            self._fill(time_us, price * self._tape.tick, self._sizes(depth), buy)
            left, price = left - depth, price + way
        # The book refills half of what the order ate.
        last = price - way
        self._bid = max(2, (self._bid + last - (1 if buy else 0)) // 2)

    def block(self, begin_us: int, end_us: int) -> tuple[Block, _State]:
        """Return what was drafted and the state after it."""
        before, first = self._before, self._tape.symbol.first_id + self._before.trades
        block = Block(
            begin_us,
            end_us,
            before.trades,
            before.aggregates,
            before.price,
            range(first, first + len(self._times)),
            array("q", self._times),
            array("q", self._events),
            array("q", self._prices),
            array("q", self._quantities),
            bytes(self._makers),
            array("q", self._starts),
        )
        last = next((p for p in reversed(self._prices) if p), before.price)
        trades, aggregates = before.trades + len(block), before.aggregates + len(self._starts)
        return block, _State(trades, aggregates, self._bid, last, self._event)

    def _fill(self, time_us: int, price: int, quantities: list[int], buy: bool) -> None:
        count = len(quantities)
        self._starts.append(len(self._times))
        self._times += [time_us] * count
        self._events += [self._event] * count
        self._prices += [price] * count
        self._quantities += quantities
        self._makers += [0 if buy else 1] * count

    def _sizes(self, count: int) -> list[int]:
        rnd, size, step = self.rnd, self._tape.size, self._tape.step
        # The fourth power: many crumbs, few blocks; its mean is a fifth.
        return [(1 + int(size * rnd() ** 4)) * step for _ in range(count)]
