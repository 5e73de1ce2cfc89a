"""The oracle of klines, against Decimals and the standard library's calendar."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise

import pytest

from simulator.config import SYMBOLS, SymbolSettings
from simulator.klines import INTERVALS, Bar, KlineOracle, window
from simulator.synthetic import SyntheticTape
from simulator.tape import SECOND_US, Trade

BEGIN = int(datetime(2025, 12, 31, 23, 40, tzinfo=UTC).timestamp()) * SECOND_US
END = BEGIN + 30 * 60 * SECOND_US


def start_of(interval: str, at: datetime) -> datetime:
    """Return the start of the window by calendar arithmetic, the slow way."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    match interval[-1], int(interval[:-1]):
        case "M", _:
            return midnight.replace(day=1)
        case "w", _:
            return midnight - timedelta(days=at.weekday())
        case "d", days:
            return midnight - timedelta(
                days=(midnight - datetime(1970, 1, 1, tzinfo=UTC)).days % days
            )
        case "h", hours:
            return midnight.replace(hour=at.hour - at.hour % hours)
        case "m", minutes:
            return midnight.replace(hour=at.hour, minute=at.minute - at.minute % minutes)
        case _:
            return at.replace(microsecond=0)


def at_us(time_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)


def to_us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def grouped(trades: list[Trade], interval: str) -> dict[int, list[Trade]]:
    groups: dict[int, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(to_us(start_of(interval, at_us(trade.time_us))), []).append(trade)
    return groups


def by_hand(trades: list[Trade]) -> Iterator[tuple[str, object]]:
    with localcontext(prec=60):
        prices = [Decimal(t.price) / 10**8 for t in trades]
        sizes = [Decimal(t.quantity) / 10**8 for t in trades]
        pairs = list(zip(prices, sizes, trades, strict=True))
        yield from {
            "open": prices[0],
            "high": max(prices),
            "low": min(prices),
            "close": prices[-1],
            "volume": sum(sizes),
            "quote_volume": sum(p * q for p, q, _ in pairs),
            "trades": len(trades),
            "buy_volume": sum(q for _, q, t in pairs if not t.buyer_is_maker),
            "buy_quote_volume": sum(p * q for p, q, t in pairs if not t.buyer_is_maker),
            "first_id": trades[0].id,
            "last_id": trades[-1].id,
        }.items()


def in_decimals(bar: Bar) -> Iterator[tuple[str, object]]:
    for name, units in bar._asdict().items():
        if name in ("trades", "first_id", "last_id"):
            yield name, units
        else:
            yield name, Decimal(units).scaleb(-16 if "quote" in name else -8)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("symbol", [SYMBOLS[3], SYMBOLS[4]], ids=lambda s: s.symbol)
def test_klines_equal_the_sums_of_their_trades(symbol: SymbolSettings, interval: str) -> None:
    tape = SyntheticTape(symbol, seed=3, begin_us=BEGIN, bookkeeping=0.02)
    trades = [t for t in tape.trades(0, END, 10**6) if t.price]
    klines = KlineOracle(tape).klines(interval, 0, END, until_us=END, limit=10**6)
    groups = grouped(trades, interval)
    traded = {k.open_us: k for k in klines if k.bar.trades}
    assert traded.keys() == groups.keys()
    for open_us, kline in traded.items():
        with localcontext(prec=60):
            assert dict(in_decimals(kline.bar)) == dict(by_hand(groups[open_us]))


def test_windows_follow_each_other_and_empty_ones_carry_the_close() -> None:
    tape = SyntheticTape(SYMBOLS[4], seed=3, begin_us=BEGIN)
    klines = KlineOracle(tape).klines("1m", 0, END, until_us=END, limit=1000)
    assert [k.open_us for k in klines[1:]] == [k.end_us for k in klines[:-1]]
    empty = [(before.bar, now.bar) for before, now in pairwise(klines) if not now.bar.trades]
    assert len(empty) > 5
    for before, bar in empty:
        assert bar == Bar(*4 * (before.close,))
        assert (bar.first_id, bar.last_id, bar.volume) == (-1, -1, 0)


def test_the_latest_klines_are_the_end_of_all_klines() -> None:
    oracle = KlineOracle(SyntheticTape(SYMBOLS[2], seed=1, begin_us=BEGIN))
    every = oracle.klines("1m", 0, END, until_us=END, limit=1000)
    assert oracle.latest("1m", END, until_us=END, limit=7) == every[-7:]
    assert oracle.latest("1m", END, until_us=END, limit=500) == every
    early = every[20].open_us
    assert oracle.latest("1m", early, until_us=END, limit=2) == every[19:21]


def test_a_time_zone_moves_the_windows() -> None:
    eight = 8 * 3600 * SECOND_US
    opened, end = window("1d", BEGIN, eight)
    assert at_us(opened) == datetime(2025, 12, 31, 16, tzinfo=UTC)
    assert at_us(end) == datetime(2026, 1, 1, 16, tzinfo=UTC)
    assert at_us(window("1M", BEGIN, eight)[1]) == datetime(2026, 1, 31, 16, tzinfo=UTC)
