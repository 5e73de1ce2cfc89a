"""Klines that others built are folded like trades, as far as they can be trusted."""

from collections.abc import Iterable

import numpy as np
import pytest

from core.klines import KlineBuilder
from core.market.errors import ConfigError
from core.market.events import Late
from core.market.intervals import INTERVALS, MINUTE_US, SECOND_US, Interval
from core.market.kline import Kline
from core.market.trades import Trades

KEY = "binance:BTCUSDT"


def made() -> KlineBuilder:
    return KlineBuilder(KEY, base=INTERVALS["1m"], intervals=(INTERVALS["1m"], INTERVALS["3m"]))


def trade(trade_id: int, second: int, price: int) -> Trades:
    ids, times, prices = (np.array([n]) for n in (trade_id, second * SECOND_US, price))
    return Trades(KEY, 0, 0, ids, times, prices, np.array([1]), np.array([True]))


def klines(items: list[Kline | Late]) -> list[Kline]:
    found = [item for item in items if isinstance(item, Kline)]
    assert len(found) == len(items)
    return found


def shown(items: Iterable[object], *fields: str) -> list[tuple[object, ...]]:
    """Return the fields of each item, intervals by name."""
    found = (tuple(getattr(item, field) for field in fields) for item in items)
    return [tuple(str(v) if isinstance(v, Interval) else v for v in values) for values in found]


def minutes(items: Iterable[object], *fields: str) -> list[tuple[object, ...]]:
    """Return the start of each kline in minutes, and its fields."""
    return [
        (item.open_us // MINUTE_US, *(getattr(item, field) for field in fields))
        for item in items
        if isinstance(item, Kline)
    ]


def kline(minute: int, price: int, *, volume: int = 1, interval: str = "1m") -> Kline:
    """Return a kline as files have it: without ids."""
    open_us = minute * MINUTE_US
    return Kline(
        KEY, INTERVALS[interval], open_us, open_us + MINUTE_US - 1, 0, 0,
        price, price, price, price, volume, volume * price, 3 * volume, 0, 0, -1, -1,
    )  # fmt: skip


def test_klines_of_others_are_folded_as_they_are() -> None:
    build = made()
    out = klines([k for m in range(4) for k in build.on_kline(kline(m, 10 + m))])
    assert shown(out, "interval", "trades", "complete") == [
        ("1m", 3, True), ("1m", 3, True), ("3m", 9, True), ("1m", 3, True), ("1m", 3, True),
    ]  # fmt: skip
    assert (out[2].open_units, out[2].close_units, out[2].first_id) == (10, 12, -1)
    assert build.on_kline(kline(2, 99)) == []
    assert shown(build.forming(), "interval", "close_units") == [("3m", 13)]


def test_klines_that_are_missing_are_unknown() -> None:
    build = made()
    out = klines([k for m in (1, 2, 3, 7, 8, 9) for k in build.on_kline(kline(m, 10))])
    higher = [k for k in out if k.interval.name == "3m"]
    assert minutes(higher, "complete") == [(0, False), (3, False), (6, False)]
    assert len(out) == 9
    assert shown(build.forming(), "interval", "complete") == [("3m", True)]


def test_what_lies_between_a_kline_and_a_trade_is_unknown() -> None:
    build = made()
    for m in (0, 1, 2, 3):
        build.on_kline(kline(m, 10))
    build.on_trades(trade(5, 4 * 60 + 5, 10))
    assert shown(build.forming(), "interval", "complete") == [("1m", False), ("3m", False)]
    jumped = made()
    jumped.on_kline(kline(0, 10))
    (three,) = klines(jumped.on_trades(trade(5, 300, 10)))
    assert (three.interval.name, three.complete) == ("3m", False)


def test_a_kline_replaces_trades_that_were_forming() -> None:
    build = made()
    build.on_trades(trade(1, 30, 5))
    (whole,) = klines(build.on_kline(kline(0, 10)))
    assert (whole.open_units, whole.volume_units) == (10, 1)


def test_flat_klines_of_others_carry_their_own_price() -> None:
    build = made()
    flats = [kline(m, 10 + m, volume=0) for m in range(3)]
    out = klines([k for flat in flats for k in build.on_kline(flat)])
    assert [k.close_units for k in out] == [10, 11, 12, 12]


def test_klines_of_another_interval_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"klines of 5m cannot be folded as if of 1m"):
        made().on_kline(kline(0, 1, interval="5m"))
