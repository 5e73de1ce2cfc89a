"""Made-up trades that look like BTCUSDT: bursts in one millisecond, a walking price, odd sizes."""

from collections.abc import Iterator

import numpy as np

from core.market.trades import Trades

KEY = "binance:BTCUSDT"
_START_US = 1_735_689_600_000_000  # 2025-01-01
_ROWS = 1 << 16


def trades(rows: int, *, seed: int = 1, rate: float = 30.0) -> Iterator[Trades]:
    """Yield batches of 65,536 rows: about `rate` a second, 64 % within the previous one's ms.

    That share, and sizes that repeat often, are what recorded BTCUSDT trades of August 2024 show.
    """
    dice = np.random.default_rng(seed)
    time_us, price, first = _START_US, 6_183_763, 3_735_683_259
    for start in range(0, rows, _ROWS):
        n = min(_ROWS, rows - start)
        steps = np.where(dice.random(n) < 0.64, 0, dice.exponential(1e6 / rate / 0.36, n))
        times = time_us + np.cumsum(steps.astype(np.int64) // 1000 * 1000)
        ticks = np.where(dice.random(n) < 0.8, 0, dice.integers(-300, 301, n))
        prices = np.maximum(price + np.cumsum(ticks), 100_000)
        yield Trades(
            key=KEY,
            price_scale=2,
            quantity_scale=5,
            id=np.arange(first + start, first + start + n, dtype=np.int64),
            time_us=times,
            price=prices,
            quantity=1 + (dice.pareto(0.7, n) * 10).astype(np.int64) % 500_000,
            buyer_is_maker=np.repeat(dice.random(n // 4 + 1) < 0.5, 4)[:n],
        )
        time_us, price = int(times[-1]), int(prices[-1])
