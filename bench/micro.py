"""Small loops in one process: wire parsing, the session, indicators."""

import json
import time
from collections.abc import Callable

import numpy as np

from bench.rows import Row
from core.exchange.plan import Plan
from core.exchange.session import Session
from core.exchange.wire import parse
from core.indicators.bollinger import Bollinger
from core.indicators.macd import Macd
from core.indicators.rsi import Rsi
from core.market.events import Frame

_FRAMES = 20_000
_UPDATES = 20_000
_REPEATS = 5


def cpu(work: Callable[[], object], *, repeats: int = _REPEATS) -> float:
    """Return the least process CPU time of some runs, in seconds."""
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def frames(count: int = _FRAMES) -> list[str]:
    """Return combined trade frames as Binance sends them."""
    return [
        json.dumps(
            {"stream": "btcusdt@trade",
             "data": {"e": "trade", "E": 1_757_522_615_939_000 + n, "s": "BTCUSDT", "t": n,
                      "p": f"{61837 + n % 97}.{n % 100:02d}000000", "q": f"0.{n % 9973:05d}000",
                      "T": 1_757_522_615_938_000 + n, "m": n % 2 == 0, "M": True}},
            separators=(",", ":"),
        )
        for n in range(count)
    ]  # fmt: skip


def wire() -> list[Row]:
    """Measure parsing alone and the session's whole way from text to columns."""
    texts = frames()
    parsing = cpu(lambda: [parse(text) and None for text in texts]) / len(texts)

    def session() -> None:
        one = Session(Plan(symbols=("BTCUSDT",)))
        for n, text in enumerate(texts):
            one.feed(Frame("binance:shard-0", n, "frame", 1, text))
        one.items()

    whole = cpu(session) / len(texts)
    return [
        Row("wire parse, trade frame, validated", parsing * 1e6, "us"),
        Row("session, trade frame to column", whole * 1e6, "us"),
    ]


def indicators() -> list[Row]:
    """Measure one update of each indicator, and talipp's in the same run."""
    import talipp.indicators as peer

    dice = np.random.default_rng(1)
    closes = (60_000 + np.cumsum(dice.normal(0, 5, _UPDATES))).tolist()
    pairs: list[tuple[str, Callable[[], object], Callable[[], object], float]] = [
        ("RSI(14)", lambda: Rsi(14), lambda: peer.RSI(14), 1.0),
        ("MACD(12, 26, 9)", lambda: Macd(12, 26, 9), lambda: peer.MACD(12, 26, 9), 1.0),
        ("Bollinger(20)", lambda: Bollinger(20), lambda: peer.BB(20, 2.0), 1.5),
    ]
    return [_against(name, ours, theirs, closes, budget) for name, ours, theirs, budget in pairs]


def _against(
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    closes: list[float],
    budget: float,
) -> Row:
    own = cpu(lambda: _drive(ours(), "update", closes)) / len(closes)
    other = cpu(lambda: _drive(theirs(), "add", closes), repeats=2) / len(closes)
    against = f"talipp {other * 1e6:.2f} us: {other / own:.1f} times faster"
    return Row(f"{name} update", own * 1e6, "us", budget, at_most=True, against=against)


def _drive(indicator: object, method: str, values: list[float]) -> None:
    update = getattr(indicator, method)
    for value in values:
        update(value)
