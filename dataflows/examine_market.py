"""Made-up markets to examine strategies with: trades through the flow's own klines step.

The same seed gives the same market. Beside a lively one there are hostile ones: prices that stand
still, prices of a hundred-millionth, jumps, minutes without trades.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from core.market.intervals import Interval
from core.market.kline import Kline
from core.market.trades import Trades
from dataflows.klines import Glimpse, KlinePlan, KlinesLogic

START_US = 1_767_600_000_000_000
_PER_KLINE = 6
_SCALE = 8

Item: TypeAlias = Kline | Trades | Glimpse
"""What a strategy may be shown, in the order of the flow."""

Path: TypeAlias = Callable[[random.Random, int], tuple[list[float], list[float]]]
"""Prices at the ends of klines, and volumes, both `count` long."""


def lively(dice: random.Random, count: int) -> tuple[list[float], list[float]]:
    """Return waves, noise, and klines in which much is traded."""
    price, prices, volumes = 60_000.0, [], []
    for n in range(count):
        busy = dice.random() < 0.05
        wave = 0.0006 * math.sin(n / 13) + 0.0004 * math.sin(n / 61 + 1)
        price *= 1.0 + wave + dice.gauss(0, 0.004 if busy else 0.001)
        prices.append(price)
        volumes.append(dice.lognormvariate(3.0 + 1.5 * busy, 0.4))
    return prices, volumes


def still(_dice: random.Random, count: int) -> tuple[list[float], list[float]]:
    """Return a price that never moves."""
    return [0.1] * count, [1.0] * count


def tiny(dice: random.Random, count: int) -> tuple[list[float], list[float]]:
    """Return a price of a few ticks of 1e-8."""
    return [dice.randint(1, 4) * 1e-8 for _ in range(count)], [1e6] * count


def jumping(dice: random.Random, count: int) -> tuple[list[float], list[float]]:
    """Return a price that is a thousand times higher or lower at once, now and then."""
    price, prices = 1.0, []
    for _ in range(count):
        if dice.random() < 0.02:
            price = 1.0 if price > 10 else 1000.0
        prices.append(price * (1 + dice.gauss(0, 0.001)))
    return prices, [dice.choice([1e-8, 1.0, 1e5]) for _ in range(count)]


def empty(dice: random.Random, count: int) -> tuple[list[float], list[float]]:
    """Return a market in which most klines have no trade at all."""
    prices, volumes = lively(dice, count)
    return prices, [v if dice.random() < 0.1 else 0.0 for v in volumes]


HOSTILE: dict[str, Path] = {
    "a price that stands still": still,
    "ticks of 1e-8": tiny,
    "jumps of a thousand times": jumping,
    "hardly any trades": empty,
}


def trades_of(key: str, of: Interval, path: Path, seed: int, count: int) -> Trades:
    """Return the trades of `count` klines of an interval of fixed length."""
    dice = random.Random(seed)
    closes, volumes = path(dice, count)
    rows: list[tuple[int, int, int, bool]] = []
    before = closes[0]
    for n, (close, volume) in enumerate(zip(closes, volumes, strict=True)):
        if volume > 0:
            rows += _window(dice, START_US + n * of.length_us, of, (before, close), volume)
            before = close
    columns = np.array([row[:3] for row in rows], dtype=np.int64)
    return Trades(
        key, _SCALE, _SCALE, np.arange(len(rows), dtype=np.int64),
        columns[:, 0], columns[:, 1], columns[:, 2], np.array([row[3] for row in rows]),
    )  # fmt: skip


def items_of(
    source: Trades | Sequence[Kline],
    own: Interval,
    others: Iterable[Interval],
    passes: frozenset[str],
) -> list[Item]:
    """Return what the flow's klines step shows of trades, or of klines of the own interval."""
    intervals = tuple(dict.fromkeys((own, *others)))
    logic = KlinesLogic(None, plan=KlinePlan(own, intervals, passes=passes))
    shown = logic.on_batch([source] if isinstance(source, Trades) else [*source])[0]
    return [item for item in shown if isinstance(item, Kline | Trades | Glimpse)]


def cut(items: Iterable[Item], most: int) -> list[Item]:
    """Return the same with batches of at most so many trades."""
    found: list[Item] = []
    for item in items:
        if isinstance(item, Trades):
            bounds = pairwise([*range(0, len(item), most), len(item)])
            found += [item.take(slice(a, b)) for a, b in bounds]
        else:
            found.append(item)
    return found


def _window(
    dice: random.Random, open_us: int, of: Interval, ends: tuple[float, float], volume: float
) -> list[tuple[int, int, int, bool]]:
    first, last = ends
    reach = abs(last - first) * 0.4
    way = [first + (last - first) * n / (_PER_KLINE - 1) for n in range(_PER_KLINE)]
    inner = [max(1e-8, price + dice.uniform(-reach, reach)) for price in way[1:-1]]
    times = sorted(dice.randrange(of.length_us) for _ in range(_PER_KLINE))
    each = max(1, round(volume / _PER_KLINE * 10**_SCALE))
    return [
        (open_us + at, max(1, round(price * 10**_SCALE)), each, dice.random() < 0.5)
        for at, price in zip(times, (first, *inner, last), strict=True)
    ]
