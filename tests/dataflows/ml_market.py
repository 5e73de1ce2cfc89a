"""A market that can be predicted a little, as files of Binance's klines."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from connectors.recording.writer import RecordingWriter
from core.exchange.plan import Plan, Standing, Tell
from core.market.events import Frame

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


SYMBOL, KEY = "BTCUSDT", "binance:BTCUSDT"
START_US = 1_767_614_400_000_000  # 2026-01-05 12:00


def frames(
    minutes: range,
    standing: dict[str, Standing] | None = None,
    commands: dict[int, Tell] | None = None,
) -> Iterator[Frame]:
    """Yield what a session would have received: four trades a minute, and commands by minute."""
    key, begin_us = "binance:shard-0", START_US + minutes.start * 60_000_000
    known = {SYMBOL: minutes.start * 4} if minutes.start else {}
    plan = Plan(
        symbols=(SYMBOL,), repairs=False, any_symbol=True, next_ids=known, standing=standing or {}
    )
    yield Frame(key, begin_us, "start", 0, plan.model_dump_json())
    dice = np.random.default_rng(17)
    steps = np.cumsum(dice.normal(size=minutes.stop * 4)) * 5
    prices = 10_000 + np.round(steps + 40 * np.sin(np.arange(minutes.stop * 4) / 60), 2)
    for n in range(minutes.start * 4, minutes.stop * 4):
        at_us = START_US + n * 15_000_000 + 1000
        if n % 4 == 0 and n // 4 in (commands or {}):
            body = {"tell": (commands or {})[n // 4].as_dict(), "klines": {}, "entry": f"{n}-0"}
            yield Frame(key, at_us - 1, "command", 0, json.dumps(body))
        trade = {
            "e": "trade", "E": at_us // 1000, "s": SYMBOL, "t": n, "p": f"{prices[n]:.2f}",
            "q": f"{1 + n % 5}.5", "T": at_us // 1000, "m": n % 3 == 0, "M": True,
        }  # fmt: skip
        data = {"stream": f"{SYMBOL.lower()}@trade", "data": trade}
        yield Frame(key, at_us, "frame", 0, json.dumps(data))


def record(root: Path, *runs: Iterator[Frame]) -> Path:
    """Write recordings."""
    writer = RecordingWriter(root)
    for run in runs:
        for frame in run:
            writer.write(frame)
    writer.flush_all()
    return root
