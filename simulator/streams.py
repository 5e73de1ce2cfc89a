"""Streams by name, and what each has to say in a span of exchange time.

A channel serves every connection that subscribed its stream in the same shape, so a frame is
made once however many read it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from simulator import wire
from simulator.faults import Frame, framed
from simulator.klines import HOUR_US, INTERVALS, Kline, KlineOracle, window
from simulator.market import Listing, Market
from simulator.tape import SECOND_US, Block, Cache, Tape, between

_TICK_US = _LATE_US = 2 * SECOND_US
_UTC8_US = 8 * HOUR_US
_CACHED_FRAMES = 50_000

_NAME = re.compile(r"(?P<symbol>[^\s@/!\"\\]{1,40})@(?P<kind>[^\s\"\\]+)")
_KLINE = re.compile(r"kline_(?P<interval>[0-9]+[a-zA-Z])(?P<offset>@\+08:00)?")
# Streams that Binance has and this exchange accepts without ever saying anything on them.
_SILENT = re.compile(
    r"blockTrade|miniTicker|ticker(_(1h|4h|1d))?|bookTicker|avgPrice|referencePrice"
    r"|depth(5|10|20)?(@(100|1000)ms)?"
)
_ALL_MARKET = re.compile(r"!(miniTicker@arr|ticker_(1h|4h|1d)@arr|serverShutdown)")


@dataclass(frozen=True, slots=True)
class StreamName:
    """A well-formed stream name, taken apart; `kind` is ``silent`` for what is never sent."""

    symbol: str
    kind: str
    interval: str = ""
    offset_us: int = 0


def parse_stream(name: str) -> StreamName | None:
    """Return the parts of a name, or None when it is malformed."""
    if _ALL_MARKET.fullmatch(name):
        return StreamName("", "silent")
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    symbol, kind = match["symbol"], match["kind"]
    if kind in ("trade", "aggTrade"):
        return StreamName(symbol, kind)
    kline = _KLINE.fullmatch(kind)
    if kline and kline["interval"] in INTERVALS:
        return StreamName(symbol, "kline", kline["interval"], _UTC8_US if kline["offset"] else 0)
    return StreamName(symbol, "silent") if _SILENT.fullmatch(kind) else None


class Channel(Protocol):
    """One stream in one shape."""

    def due(self, after_us: int, until_us: int) -> list[Frame]:
        """Return the frames with ``after < E <= until``, in order of ``E``."""
        ...


class BlockChannel:
    """Trades or aggregates: one frame per row of a block."""

    def __init__(self, tape: Tape, make: Callable[[Block], list[Frame]]) -> None:
        self._tape, self._make = tape, make
        self._frames: Cache[tuple[list[Frame], list[int]]] = Cache(_CACHED_FRAMES)

    def due(self, after_us: int, until_us: int) -> list[Frame]:
        """Return the frames of that span."""
        due: list[Frame] = []
        # What is said now may have been traded a little earlier.
        for block in self._tape.blocks(after_us - self._tape.lag_us, until_us + 1):
            held = self._frames.get(block.begin_us)
            if held is None:
                frames = self._make(block)
                held = frames, [frame[0] for frame in frames]
                self._frames.put(block.begin_us, held, len(frames) + 1)
            due += held[0][between(held[1], after_us, until_us)]
        return due


class _Moment(NamedTuple):
    """When a kline frame goes out, and about which window."""

    event_us: int
    open_us: int
    end_us: int
    closed: bool


class KlineChannel:
    """Klines of one interval, by the timing of one of Binance's eras (see `moments`)."""

    def __init__(
        self,
        listing: Listing,
        name: StreamName,
        mode: str,
        make: Callable[[Kline, int, bool], str],
        *,
        tick_us: int = _TICK_US,
    ) -> None:
        self._oracle: KlineOracle = listing.klines
        self._statuses = listing.statuses
        self._tape, self._name, self._make = listing.tape, name, make
        self._stream = f"{name.symbol}@kline_{name.interval}{'@+08:00' * bool(name.offset_us)}"
        self._mode = mode if name.interval != "1s" else "second"
        self._period = SECOND_US if name.interval == "1s" else tick_us
        # Where frames come often they come only if there is something to say.
        self._if_traded = mode == "next_trade" or tick_us < _TICK_US

    def due(self, after_us: int, until_us: int) -> list[Frame]:
        """Return the frames of that span."""
        frames: list[Frame] = []
        for moment in sorted(self.moments(after_us, until_us)):
            if not self._statuses.gives_klines(moment.event_us):
                continue
            known_us = min(moment.end_us, moment.event_us)
            bar = self._oracle.bar(moment.open_us, known_us)
            if bar is not None:
                kline = Kline(moment.open_us, moment.end_us, bar)
                text = self._make(kline, moment.event_us, moment.closed)
                frames.append((moment.event_us, self._stream, framed(text.encode())))
        return frames

    def moments(self, after_us: int, until_us: int) -> Iterator[_Moment]:
        """Yield when frames go out with ``after < E <= until``.

        ``timer`` (2025): each even second and 14 to 21 ms, closing frames too. USD-M: each quarter
        of a second, updates only where something traded.
        ``late_timer_2s``: the same grid, the closing frame 2 s late.
        ``next_trade`` (2018 to 2022): updates only where something traded, the closing frame
        with the first trade of the next window, or 2 s late.
        One-second klines always come 1 to 6 ms after their second, closed.
        """
        # A closing frame may be two seconds behind the tick it belongs to.
        first = (after_us - 2 * _LATE_US) // self._period
        for number in range(first, until_us // self._period + 1):
            for moment in self._of_tick(number):
                if after_us < moment.event_us <= until_us:
                    yield moment

    def _of_tick(self, number: int) -> Iterator[_Moment]:
        base = number * self._period
        spread = number * 2_654_435_761 >> 7  # looks random, is not
        open_us, end_us = self._window(base)
        if self._mode == "second":
            yield _Moment(base + 1_000 * (1 + spread % 6), *self._window(base - 1), True)
            return
        event_us = base + 1_000 * (14 + spread % 8)
        if open_us == base:
            yield from self._boundary(base, event_us)
        elif self._mode == "late_timer_2s" and open_us == base - _LATE_US:
            yield _Moment(event_us, *self._window(open_us - 1), True)
        elif not self._if_traded or self._traded(base - self._period, base):
            yield _Moment(event_us, open_us, end_us, False)

    def _boundary(self, base: int, event_us: int) -> Iterator[_Moment]:
        ended = self._window(base - 1)
        if self._mode == "late_timer_2s":
            yield _Moment(event_us, *ended, False)
        elif self._mode == "timer":
            yield _Moment(event_us, *ended, True)
        else:
            yield _Moment(min(self._first_event(base), event_us + _LATE_US), *ended, True)

    def _window(self, time_us: int) -> tuple[int, int]:
        return window(self._name.interval, time_us, self._name.offset_us)

    def _traded(self, from_us: int, until_us: int) -> bool:
        return self._tape.count_before(until_us) > self._tape.count_before(from_us)

    def _first_event(self, from_us: int) -> int:
        """Return ``E`` of the first trade from a time on, far away when none comes soon."""
        for block in self._tape.blocks(from_us, from_us + 2 * _LATE_US):
            for time_us, event_us in zip(block.times, block.events, strict=True):
                if time_us >= from_us:
                    return event_us
        return from_us + 2 * _LATE_US


class Channels:
    """The channels of a market, made when first asked for."""

    def __init__(self, market: Market, kline_mode: str) -> None:
        self._market, self._kline_mode = market, kline_mode
        self._made: dict[tuple[str, int, bool], Channel | None] = {}

    def parse(self, name: str) -> StreamName | None:
        """Return the parts of a name, or None when it is malformed."""
        return parse_stream(name)

    def find(self, stream: str, unit: int, *, combined: bool) -> Channel | None:
        """Return the channel of a stream; None for one that never says anything."""
        key = (stream, unit, combined)
        if key not in self._made:
            made = self._make(stream, unit, combined)
            if made is None:
                return None  # not remembered: clients may ask for any number of names
            self._made[key] = made
        return self._made[key]

    def _make(self, stream: str, unit: int, combined: bool) -> Channel | None:
        name = self.parse(stream)
        # An upper-case name is accepted and stays silent, as at Binance.
        if name is None or name.kind == "silent" or name.symbol != name.symbol.lower():
            return None
        listing = self._market.listings.get(name.symbol.upper())
        if listing is None:
            return None
        wrap = wire.envelope(stream, combined=combined)
        if name.kind == "kline":
            return self._klines(listing, name, unit, wrap)
        return self._trades(listing, name, stream, unit, wrap)

    def _trades(
        self, listing: Listing, name: StreamName, stream: str, unit: int, wrap: tuple[str, str]
    ) -> Channel:
        tape, symbol = listing.tape, listing.symbol
        if name.kind == "trade":
            return BlockChannel(tape, lambda b: wire.trade_frames(b, symbol, stream, unit, wrap))
        first = tape.first_aggregate_id
        return BlockChannel(
            tape, lambda b: wire.aggregate_frames(b, first, symbol, stream, unit, wrap)
        )

    def _klines(
        self, listing: Listing, name: StreamName, unit: int, wrap: tuple[str, str]
    ) -> Channel:
        def make(kline: Kline, event_us: int, closed: bool) -> str:
            text = wire.kline_payload(
                kline, event_us, listing.symbol, name.interval, unit, closed=closed
            )
            return f"{wrap[0]}{text}{wrap[1]}"

        return KlineChannel(listing, name, self._kline_mode, make)
