"""What strategies pass on, made by hand: trades, klines, and signals behind the klines."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from core.market.events import InstanceChanged
from core.market.intervals import Interval, interval
from core.market.kline import Kline
from core.market.paper import Equity, Fill
from core.market.signal import Side, Signal
from core.market.trades import Trades
from core.paper.config import PaperConfig
from core.paper.portfolio import Portfolio

KEY = "binance:BTCUSDT"
MINUTE_US = 60_000_000
M1, M5 = interval("1m"), interval("5m")
SECOND_US = 1_000_000

Item: TypeAlias = Trades | Kline | Signal | InstanceChanged
Tick: TypeAlias = tuple[int, int]
"""A trade: its time in microseconds, its price in cents."""


def trades(rows: Iterable[Tick], *, first_id: int = 1) -> Trades:
    """Return trades of a price each; a price of 0 is the exchange's bookkeeping."""
    time_us, price = np.array(list(rows), np.int64).reshape(-1, 2).T
    ids = np.arange(first_id, first_id + len(price), dtype=np.int64)
    return Trades(KEY, 2, 3, ids, time_us, price, np.full(len(ids), 7), ids % 2 == 0)


def kline(
    number: int, *cents: int, of: Interval = M1, places: int = 3, revision: int = 0, count: int = 1
) -> Kline:
    """Return the kline of a window: one price, or open and close."""
    opens, closes = cents[0], cents[-1]
    open_us = number * of.length_us
    return Kline(
        KEY, of, open_us, open_us + of.length_us - 1, 2, places, opens, max(cents), min(cents),
        closes, 7 * count, 7 * count * opens, count, 0, 0, 1, 1, revision=revision, seq=number,
    )  # fmt: skip


def signal(number: int, side: str, instance: str = "a", of: Interval = M1) -> Signal:
    """Return what an instance says to the kline of a window; its position is the kline's end."""
    open_us = number * of.length_us
    close_us = open_us + of.length_us - 1
    return Signal(
        KEY, of, "rule", instance, Side(side), open_us, close_us, "1", f"{side} {number}",
        seq=close_us,
    )  # fmt: skip


def removed(at_us: int, instance: str = "a") -> InstanceChanged:
    """Return the news that an instance is gone."""
    return InstanceChanged(KEY, at_us, at_us, "c", instance, "removed", "")


def feed(portfolio: Portfolio, items: Iterable[Item]) -> list[Fill | Equity]:
    """Hand items to a portfolio as the step does."""
    out: list[Fill | Equity] = []
    for item in items:
        if isinstance(item, Kline):
            out += portfolio.on_kline(item)
        elif isinstance(item, Trades):
            out += portfolio.on_trades(item)
        elif isinstance(item, Signal):
            portfolio.on_signal(item)
        else:
            portfolio.on_removed(item.instance, item.time_us)
    return out


def run(items: Iterable[Item], **settings: object) -> list[Fill | Equity]:
    """Run a new portfolio with these settings."""
    return feed(Portfolio(KEY, PaperConfig.model_validate(settings), "1m"), items)


def market(ticks: Iterable[Tick], said: Iterable[Signal], minutes: int) -> list[Item]:
    """Return a whole stream: trades, 1m and 5m klines of them, and signals behind their klines."""
    by_close: dict[tuple[str, int], list[Signal]] = {}
    for one in said:
        by_close.setdefault((one.interval.name, one.open_us), []).append(one)
    windows: list[list[Tick]] = [[] for _ in range(minutes)]
    for tick in sorted(ticks):
        windows[tick[0] // MINUTE_US].append(tick)
    out: list[Item] = []
    last, made = 10_000, 1
    for n, window in enumerate(windows):
        if window:
            out.append(trades(window, first_id=made))
            made += len(window)
        own = [price for _, price in window] or [last]
        out.append(kline(n, *own, count=len(window)))
        out += by_close.get(("1m", n * MINUTE_US), [])
        last = own[-1]
        if n % 5 == 4:
            five = [price for part in windows[n - 4 : n + 1] for _, price in part]
            out.append(kline(n // 5, *(five or [last]), of=M5, count=len(five)))
            out += by_close.get(("5m", (n - 4) * MINUTE_US), [])
    return out


def told(row: object, names: str) -> tuple[object, ...]:
    """Return the attributes named, separated by blanks."""
    return tuple(getattr(row, name) for name in names.split())
