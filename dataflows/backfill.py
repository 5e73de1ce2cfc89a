"""Trades that were missed for good, asked for again: they reach the lake, and their klines change.

    exchange's history ─► lake/trades ─► klines of the windows they lie in, issued with a revision

No flow runs for it; one that runs meanwhile on the same lake is not disturbed, because the rows lie
in a hole of its own. Streams in Redis are not rewritten: they are a bus, and the lake the record.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from config.settings import Settings
from connectors.binance.history import History, Span
from connectors.parquet.reader import read_klines, read_trades
from connectors.parquet.writer import LakeWriter
from core.continuity import Continuity
from core.exchange.repair import Missing
from core.klines import KlineBuilder
from core.klines.revise import latest, revised
from core.market.errors import ConfigError
from core.market.events import Gap
from core.market.intervals import interval
from core.market.kline import Kline
from core.market.position import Positions
from core.market.trades import Trades

_BEFORE = timedelta(hours=2)
_CARRY_AGAIN = timedelta(days=1)

Told = Callable[[int, int], None]
"""Told (ids done, ids in all) as pages come."""


@dataclass(slots=True)
class Outcome:
    """What a backfill did."""

    symbol: str
    first_id: int
    last_id: int
    fetched: int = 0
    missing: list[tuple[int, int, str]] = field(default_factory=list)
    reissued: dict[str, int] = field(default_factory=dict)
    weight: int = 0


def backfill(settings: Settings, symbol: str, wanted: str, *, told: Told | None = None) -> Outcome:
    """Ask for a range of trades and put them where they belong.

    Args:
        settings: Which exchange, which lake, which intervals.
        symbol: As the exchange writes it.
        wanted: ``FROM..TO``, ids or UTC times, both inclusive.
        told: Hears of the progress.

    Raises:
        CryptoToolsError: The range cannot be understood, the exchange or the lake not be used.

    """
    return asyncio.run(_backfill(settings, symbol.upper(), wanted, told))


async def _backfill(settings: Settings, symbol: str, wanted: str, told: Told | None) -> Outcome:
    history = History(settings.binance)
    writer = LakeWriter(settings.lake)
    bounds: list[int] = []
    try:
        span = await _span(history, symbol, wanted)
        outcome = Outcome(symbol, span.first, span.last)
        async for part in history.fetch(symbol, span):
            if isinstance(part, Missing):
                outcome.missing.append((part.first_id, part.last_id, part.reason))
                continue
            writer.write(part)
            outcome.fetched += len(part)
            bounds += [int(part.time_us[0]), int(part.time_us[-1])]
            if told is not None:
                told(int(part.id[-1]) - span.first + 1, span.last - span.first + 1)
        writer.flush_all()
        if bounds:
            klines = rebuild(settings, f"{settings.binance.place.exchange}:{symbol}", bounds)
            for kline in klines:
                writer.write(kline)
                name = kline.interval.name
                outcome.reissued[name] = outcome.reissued.get(name, 0) + 1
            writer.flush_all()
        outcome.weight = history.weight
        return outcome
    finally:
        await history.close()


def rebuild(settings: Settings, key: str, times_us: list[int]) -> list[Kline]:
    """Return the klines to issue again because trades of these times came late."""
    base = interval(settings.klines.base)
    intervals = tuple(interval(name) for name in settings.klines.intervals)
    first, last = min(times_us), max(times_us)
    start_us = min(i.open_of(first) for i in intervals)
    end_us = max(i.end_of(i.open_of(last)) for i in intervals)
    builder = KlineBuilder(
        key,
        base=base,
        intervals=intervals,
        grace_us=settings.klines.grace_ms * 1000,
        empty=settings.klines.empty,
    )
    touched = {
        (i.name, open_us)
        for i in intervals
        for open_us in range_of(i.open_of(first), i.open_of(last), i.end_of)
    }
    built = [
        kline
        for kline in _klines(builder, _held(settings, key, start_us, end_us))
        if (kline.interval.name, kline.open_us) in touched
    ]
    path = settings.lake.path / "klines"
    begin, end = _at(start_us), _at(end_us)
    stored = list(read_klines(path, {key}, None, begin, end)) if path.exists() else []
    positions = Positions(max((kline.seq for kline in stored), default=-1))
    return revised(latest(stored), latest(built).values(), positions)


def range_of(first_us: int, last_us: int, end_of: Callable[[int], int]) -> Iterator[int]:
    """Yield the starts of the windows from one to another, inclusive."""
    while first_us <= last_us:
        yield first_us
        first_us = end_of(first_us)


def _held(settings: Settings, key: str, start_us: int, end_us: int) -> Iterator[Trades]:
    # From before the first window (its start must be witnessed, its price be known) to the first
    # trade behind the last.
    path = settings.lake.path / "trades"
    for _, trades in read_trades(path, {key}, _at(start_us) - _BEFORE, _at(end_us) + _CARRY_AGAIN):
        yield trades
        if int(trades.time_us[-1]) >= end_us:
            return


def _klines(builder: KlineBuilder, batches: Iterator[Trades]) -> Iterator[Kline]:
    continuity = Continuity(builder.key)
    for batch in batches:
        for item in continuity.on_trades(batch):
            if isinstance(item, Gap):
                builder.on_gap(item)
            elif isinstance(item, Trades):
                yield from (k for k in builder.on_trades(item) if isinstance(k, Kline))


async def _span(history: History, symbol: str, wanted: str) -> Span:
    first, dots, last = wanted.partition("..")
    if not dots:
        raise ConfigError("range", f"`{wanted}` is no FROM..TO", hint="100..200, or two UTC times")
    if first.isdecimal() and last.isdecimal():
        span = Span(int(first), int(last))
    else:
        begin, end = _time(first), _time(last)
        span = Span(
            await history.first_id_at(symbol, begin), await history.first_id_at(symbol, end) - 1
        )
    if span.last < span.first:
        raise ConfigError("range", f"`{wanted}` holds nothing", hint="FROM comes before TO")
    return span


def _time(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        hint = "ids, or UTC times such as 2026-01-05T12:00"
        raise ConfigError("range", f"`{text}` is neither an id nor a time", hint=hint) from None
    known = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(known.timestamp() * 1_000_000)


def _at(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us / 1e6, UTC)
