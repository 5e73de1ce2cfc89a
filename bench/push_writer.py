"""Adds rounds to Redis at a steady rate: ``python -m bench.push_writer plan``."""

import sys
import time
from typing import Any

import orjson
import redis

from bench.push_plan import EVENTS, VALUES, Plan

_KLINE = {
    "interval": "1m", "open_ms": "1767615420000", "close_ms": "1767615479999",
    "open": "67123.45", "high": "67180", "low": "67100.01", "close": "67150.2",
    "volume": "11.6282", "taker_buy_volume": "6.1678", "quote_volume": "780129.275591",
    "taker_buy_quote_volume": "412853.57015", "trades": "68", "first_id": "2780149394",
    "last_id": "2780149461", "status": "forming", "complete": "1", "revision": "0",
}  # fmt: skip
_SIGNAL = {
    "strategy": "macd_cross", "instance": "macd_cross", "interval": "1m", "side": "long",
    "price": "67150.2", "reason": "macd 66.5625 crossed above signal 63.9929",
}  # fmt: skip
_KEPT = 1000


def add(client: "redis.Redis", run: str, n: int) -> None:
    """Add a round, with the time just before it is sent."""
    own = {"run": run, "n": str(n), "sent_ns": str(time.time_ns())}
    pipe = client.pipeline(transaction=False)
    for name, fields in ((EVENTS, _SIGNAL), (VALUES, _KLINE)):
        row: dict[Any, Any] = fields | own
        pipe.xadd(name, row, maxlen=_KEPT)
    pipe.execute()


def main(plan: Plan) -> None:
    """Add all rounds; say when those begin that are measured, and at the end how long each took."""
    took = []
    with redis.Redis.from_url(plan.url) as client:
        begin = time.monotonic()
        for n in range(1, plan.rounds + 1):
            time.sleep(max(0.0, begin + n / plan.rate - time.monotonic()))
            if n == plan.skipped + 1:
                sys.stdout.write("measured from here\n")
                sys.stdout.flush()
            began = time.perf_counter()
            add(client, plan.run, n)
            took.append((time.perf_counter() - began) * 1e3)
    sys.stdout.write(orjson.dumps(took[plan.skipped :]).decode() + "\n")


if __name__ == "__main__":
    main(Plan.read(sys.argv[1]))
