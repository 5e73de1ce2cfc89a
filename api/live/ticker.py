"""Ticker and status: how each symbol and each flow is, looked at a few times a second."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import orjson
from redis.asyncio import Redis

from api.flows import Flow, read_flows
from api.live.index import Interest, Streams
from api.live.mailbox import Path, Value
from api.live.topics import Route
from connectors.redis.keys import stream_key
from core.market.intervals import INTERVALS

TICKER, STATUS = "ticker", "status"

STALE_S = 10.0
"""A symbol whose data end so long ago is not live."""

_RATE_S = 5.0  # trades are counted over
_FLOWS_S = 1.0
_CHANGE_S = 60.0  # the price of a day ago is looked up so often
_DAY_MS = 86_400_000
_CENT = Decimal("0.01")

Publish = Callable[[Route, Path, Value], None]


@dataclass(slots=True)
class _Symbol:
    counts: deque[tuple[float, int]] = field(default_factory=deque)  # when, trades so far
    before: Decimal | None = None  # the price a day ago
    looked: float = -_CHANGE_S


class Ticker:
    """Looks at every symbol's last trade, at how flows are, and at the prices of a day ago.

    Args:
        bus: Redis; answers are text.
        streams: Those that there are.
        interest: Who wants what.
        publish: Takes values that changed.

    """

    def __init__(self, bus: Redis, streams: Streams, interest: Interest, publish: Publish) -> None:
        self._bus, self._streams, self._interest = bus, streams, interest
        self._publish = publish
        self._flows: dict[str, Flow] = {}
        self._flows_at = -_FLOWS_S
        self._symbols: dict[str, _Symbol] = {}
        self._values: dict[Path, Value] = {}
        self._away = ""

    def snapshot(self, topics: frozenset[str]) -> list[tuple[Path, Value]]:
        """Return how values stand."""
        return [(path, value) for path, value in self._values.items() if path[0] in topics]

    def away(self, why: str) -> None:
        """Say that Redis is away, and why; empty: it is back."""
        if why != self._away:
            self._away = why
            self._tell_status()

    async def prime(self, topics: frozenset[str]) -> None:
        """Look now if it is not known how these stand."""
        known = {path[0] for path in self._values}
        if (topics & {TICKER, STATUS}) - known:
            await self.poll()

    async def poll(self) -> None:
        """Look at what somebody wants."""
        ticker, status = (self._interest.wants((topic,)) for topic in (TICKER, STATUS))
        if not (ticker or status):
            self._symbols.clear()
            self._values.clear()
            return
        now = time.monotonic()
        if now >= self._flows_at + _FLOWS_S:
            self._flows_at = now
            self._flows = await read_flows(self._bus)
            self._tell_status()
        if ticker:
            await self._look(now)

    def _tell_status(self) -> None:
        body = {
            "redis": {"state": "away", "reason": self._away} if self._away else {"state": "live"},
            "flows": {name: _reduced(flow) for name, flow in self._flows.items()},
        }
        self._show((STATUS,), Value(orjson.dumps(body)), "")

    async def _look(self, now: float) -> None:
        keys = [self._streams.named[name].key for name in self._streams.of({"trade"})]
        pipe = self._bus.pipeline(transaction=False)
        for key in keys:
            pipe.xinfo_stream(stream_key(key, "trade"))
        answers: Any = await pipe.execute(raise_on_error=False) if keys else []
        told = {
            key: answer
            for key, answer in zip(keys, answers, strict=True)
            if not isinstance(answer, Exception) and answer["last-entry"]
        }
        await self._look_back({key: int(one["last-entry"][1]["time_us"]) // 1000
                               for key, one in told.items()}, now)  # fmt: skip
        health = _health(self._flows)
        for key, one in told.items():
            self._tell(key, one, health.get(key), now)

    def _tell(
        self, key: str, told: Mapping[str, Any], health: dict[str, Any] | None, now: float
    ) -> None:
        symbol = self._symbols.setdefault(key, _Symbol())
        trade = told["last-entry"][1]
        body = {
            "symbol": key.partition(":")[2],
            "price": trade["price"],
            "time_us": trade["time_us"],
            "change_24h": _change(trade["price"], symbol.before),
            "rate": _rate(symbol.counts, now, int(told["entries-added"])),
            **(health or {"lag_s": None, "gaps_open": 0, "state": "stale"}),
        }
        self._show((TICKER, key), Value(orjson.dumps(body)), key)

    def _show(self, path: Path, value: Value, key: str) -> None:
        if self._values.get(path) != value:
            self._values[path] = value
            self._publish(Route(path[0], (path[0],), key), path, value)

    async def _look_back(self, newest: Mapping[str, int], now: float) -> None:
        """Look up the close of the shortest klines a day before these times, where they have it."""
        asked: list[tuple[str, int]] = []
        pipe = self._bus.pipeline(transaction=False)
        for key, at_ms in newest.items():
            symbol = self._symbols.setdefault(key, _Symbol())
            name = self._shortest(key)
            if not name or now < symbol.looked + _CHANGE_S:
                continue
            symbol.looked = now
            asked.append((key, at_ms - _DAY_MS))
            pipe.xrevrange(name, max=str(at_ms - _DAY_MS), count=1)
        answers: Any = await pipe.execute(raise_on_error=False) if asked else []
        for (key, until_ms), rows in zip(asked, answers, strict=True):
            found = not isinstance(rows, Exception) and rows
            self._symbols[key].before = _close(rows[0][1], until_ms) if found else None

    def _shortest(self, key: str) -> str | None:
        for interval in INTERVALS:
            name = stream_key(key, "kline", interval)
            if name in self._streams.named:
                return name
        return None


def _close(kline: Mapping[str, str], until_ms: int) -> Decimal | None:
    # One that ended long before stands at the edge of a hole, not a day ago.
    length_ms = int(kline["close_ms"]) + 1 - int(kline["open_ms"])
    near = until_ms - int(kline["close_ms"]) <= 2 * length_ms
    return Decimal(kline["close"]) if near else None


def _change(price: str, before: Decimal | None) -> str | None:
    if not before:
        return None
    change = (Decimal(price) / before - 1) * 100
    return str(change.quantize(_CENT, ROUND_HALF_EVEN))


def _rate(counts: deque[tuple[float, int]], now: float, added: int) -> float | None:
    if counts and added < counts[-1][1]:
        counts.clear()  # the stream has begun anew
    counts.append((now, added))
    while len(counts) > 2 and counts[1][0] <= now - _RATE_S:
        counts.popleft()
    took = now - counts[0][0]
    return round((added - counts[0][1]) / took, 2) if took else None  # not known yet


def _health(flows: Mapping[str, Flow]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for flow in flows.values():
        for key, row in flow.status.symbols.items():
            lag_s, gaps = float(row["lag_s"]), int(row["gaps_open"])
            late = flow.status.state != "running" or lag_s > STALE_S
            state = "stale" if late else "repairing" if gaps else "live"
            if key not in found or found[key]["state"] == "stale":  # told by an older flow as well
                found[key] = {"lag_s": lag_s, "gaps_open": gaps, "state": state}
    return found


def _reduced(flow: Flow) -> dict[str, Any]:
    status = flow.status
    return {
        "state": status.state,
        "well": status.well,
        "troubles": status.troubles,
        "age_s": status.age_s,
        "restarts": status.restarts,
        "gaps_open": status.gaps_open,
        "backlog_rows": status.backlog_rows,
        "rows": status.rows,
        "intervals": flow.intervals,
    }
