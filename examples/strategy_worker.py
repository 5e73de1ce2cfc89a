"""A strategy outside the flow: reads final klines, writes signals to a stream of its own.

    python examples/strategy_worker.py --url redis://localhost:6379/0 --fast 12 --slow 26

Klines come at least once, and a signal's id is that of the kline it follows, so Redis refuses the
second copy of a signal. One consumer reads all klines: shared among several, none would see a whole
series. Killed and started again it warms up with the klines before the first it is given.
"""

import argparse
import sys
from dataclasses import dataclass
from typing import Any

import redis

from connectors.redis.reader import Reader
from core.indicators.ema import Ema
from subscribers.consumer import Batch, Consumer, Delivery
from subscribers.entries import order
from subscribers.typed import KlineRecord

KEPT = 10_000


@dataclass(slots=True)
class Cross:
    """Two moving averages of one series, and which was on top."""

    fast: Ema
    slow: Ema
    above: bool | None = None
    last: tuple[int, int] = (0, 0)

    def update(self, close: float) -> str:
        """Take a close; return the side that a crossing advises, or nothing."""
        fast, slow = self.fast.update(close), self.slow.update(close)
        if fast is None or slow is None:
            return ""
        was, self.above = self.above, fast > slow
        if was is None or was == self.above:
            return ""
        return "long" if self.above else "flat"


class Worker:
    """Follows all series that come."""

    def __init__(self, url: str, fast: int, slow: int) -> None:
        self._reader = Reader(url)
        self._client = redis.Redis.from_url(url, decode_responses=True)
        self._periods = fast, slow
        self._series: dict[str, Cross] = {}

    def __call__(self, batch: Batch) -> None:
        """Handle a batch; it is acknowledged when this returns."""
        for missed in batch.missed:
            sys.stderr.write(f"{missed}: the averages begin anew\n")
            self._series.pop(missed.name, None)
        for delivery in batch.entries:
            self._take(delivery)

    def _take(self, delivery: Delivery) -> None:
        cross = self._series.get(delivery.name) or self._warmed(delivery)
        if order(delivery.id) <= cross.last:
            return  # it came before
        cross.last = order(delivery.id)
        kline = delivery.record
        if isinstance(kline, KlineRecord) and kline.revision == 0:
            side = cross.update(float(kline.close))
            if side:
                self._say(delivery, kline, side)

    def _warmed(self, first: Delivery) -> Cross:
        fast, slow = self._periods
        cross = self._series[first.name] = Cross(Ema(fast), Ema(slow))
        for entry in self._reader.newest([first.name], 10 * slow):
            if entry.order < order(first.id) and entry.fields["revision"] == "0":
                cross.update(float(entry.fields["close"]))
        return cross

    def _say(self, delivery: Delivery, kline: KlineRecord, side: str) -> None:
        fields: dict[Any, Any] = {"side": side, "price": str(kline.close)}
        fields["interval"] = kline.interval
        stream = f"my:{{{delivery.key}}}:cross"
        try:
            self._client.xadd(stream, fields, id=delivery.id, maxlen=KEPT, approximate=True)
        except redis.ResponseError as error:
            if "equal or smaller" not in str(error):  # else it is there already
                raise


def main() -> None:
    """Run until Ctrl-C, or until nothing is left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", required=True, help="address of Redis")
    parser.add_argument("--fast", type=int, default=12)
    parser.add_argument("--slow", type=int, default=26)
    parser.add_argument("--once", action="store_true", help="end when nothing is left")
    told = parser.parse_args()
    with Consumer(
        told.url, "cross", name="one", kinds=["kline"], intervals=["1m"], batch=200
    ) as consumer:
        until = (lambda one: not any(lag.entries for lag in one.lag())) if told.once else None
        consumer.run(Worker(told.url, told.fast, told.slow), until=until)


if __name__ == "__main__":
    main()
