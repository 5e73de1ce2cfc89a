"""A market that can be predicted a little, as files of Binance's klines."""

from pathlib import Path

import numpy as np

START_MS = 1_735_689_600_000  # 2025-01-01
DAY = 1440


def write_klines(folder: Path, days: int, *, first: int = 0, symbol: str = "BTCUSDT") -> list[Path]:
    """Write a file per day; minutes of a seed of their own, returns that follow those before."""
    folder.mkdir(parents=True, exist_ok=True)
    paths, price, drift = [], 100_000.0, 0.0
    for day in range(first + days):
        dice = np.random.default_rng([11, day])
        lines = []
        for minute, noise in enumerate(dice.normal(size=DAY).tolist()):
            drift = 0.6 * drift + noise * 5e-4
            before, price = price, min(max(price * float(np.exp(drift)), 1000.0), 1e7)
            open_ms = START_MS + (day * DAY + minute) * 60_000
            high, low = max(before, price) + 1, min(before, price) - 1
            volume = 10 + abs(noise)
            bought = volume * (0.5 + 0.2 * np.tanh(drift * 1000))
            lines.append(
                f"{open_ms},{before:.2f},{high:.2f},{low:.2f},{price:.2f},{volume:.3f},"
                f"{open_ms + 59_999},{volume * before:.2f},9,{bought:.3f},{bought * before:.2f},0"
            )
        if day >= first:
            at = np.datetime64("2025-01-01") + day
            path = folder / f"{symbol}-1m-{at}.csv"
            path.write_text("\n".join(lines) + "\n")
            paths.append(path)
    return paths
