"""Small loops in one process: wire parsing, the session."""

import json
import time
from collections.abc import Callable

from bench.rows import Row
from core.exchange.plan import Plan
from core.exchange.session import Session
from core.exchange.wire import parse
from core.market.events import Frame

_FRAMES = 20_000
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
