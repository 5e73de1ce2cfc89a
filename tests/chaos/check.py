"""What a run left behind against an undisturbed market: row for row."""

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import redis

from connectors.redis.keys import stream_key
from core.market.intervals import interval
from simulator.local import Simulator
from tests.chaos.run import ROOT, SYMBOLS, Left

INTERVALS = ("1m", "5m")


@dataclass(slots=True)
class Verdict:
    """Counts of one run; `lost` and `doubled` are over the lake and Redis, all kinds."""

    trades: int = 0
    repaired: int = 0
    klines: int = 0
    signals: int = 0
    entries: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    peak_mib: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is lost, doubled or different, and there was something to check."""
        return not (self.lost or self.doubled or self.different) and self.trades > 0

    def compare(self, what: str, found: list[Any], expected: list[Any]) -> None:
        """Count what is lost and doubled of a list whose items are their own identity."""
        counts, wanted = Counter(found), Counter(expected)
        lost = sum((wanted - counts).values())
        more = counts - wanted
        doubled = sum(n for item, n in more.items() if item in wanted)
        different = sum(more.values()) - doubled
        self.lost, self.doubled = self.lost + lost, self.doubled + doubled
        self.different += different
        if lost or doubled or different:
            self.notes.append(f"{what}: {lost} lost, {doubled} doubled, {different} different")
        elif found != expected:
            self.different += 1
            self.notes.append(f"{what}: out of order")


def check(left: Left) -> Verdict:
    """Compare lake and Redis with the market, and with each other."""
    with redis.Redis.from_url(left.redis_url, decode_responses=True) as client:
        checker = _Checker(Verdict(peak_mib=left.peak_mib), left.sim, client, left.lake)
        for symbol in SYMBOLS:
            checker.trades(symbol)
            for name in INTERVALS:
                checker.klines(symbol, name)
            checker.signals(symbol)
            checker.paper(symbol)
    _parity(checker.verdict, left)
    return checker.verdict


def _parity(verdict: Verdict, left: Left) -> None:
    # The recording, replayed, gives the very klines and signals that the live run emitted.
    command = [sys.executable, "-m", "cli.main", "verify-parity", str(left.recordings)]
    done = subprocess.run(
        [*command, "--lake", str(left.lake), "--json"],
        cwd=ROOT, env=left.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        verdict.different += 1
        verdict.notes.append(f"verify-parity: {(done.stdout + done.stderr)[-800:]}")


@dataclass(slots=True)
class _Checker:
    verdict: Verdict
    sim: Simulator
    client: redis.Redis
    lake: Path

    def trades(self, symbol: str) -> None:
        rows = _rows(self.lake / "trades", symbol)
        self.verdict.trades += len(rows)
        self.verdict.repaired += sum(row["repaired"] for row in rows)
        ours = [
            (r["id"], _us(r["time"]), r["price"], r["quantity"], r["buyer_is_maker"]) for r in rows
        ]
        first, last = (min(ours)[0], max(ours)[0]) if ours else (0, -1)
        market = [
            (t.id, t.time_us, _decimal(t.price), _decimal(t.quantity), t.buyer_is_maker)
            for t in self.sim.trades(symbol, 0, self.sim.now_us())
            if first <= t.id <= last
        ]
        self.verdict.compare(f"{symbol} trades in the lake", ours, market)
        self._in_redis(f"{symbol} trades", symbol, "trade", "", [r[0] for r in ours])

    def klines(self, symbol: str, name: str) -> None:
        rows = _rows(self.lake / "klines", symbol, name)
        official = {k.open_us: k for k in self.sim.klines(symbol, name, 0, self.sim.now_us())}
        latest = {row["open_time"]: row for row in rows}
        seqs = [row["seq"] for row in rows]
        what = f"{symbol} {name} klines"
        self.verdict.compare(what, seqs, sorted(set(seqs)))
        whole = [_twelve(row) for row in latest.values() if row["complete"]]
        self.verdict.klines += len(whole)
        market = [_official(official[row[0]]) for row in whole if row[0] in official]
        self.verdict.compare(f"{what} against the market", whole, market)
        opens = sorted(_us(at) for at in latest)
        every = range(opens[0], opens[-1] + 1, interval(name).length_us) if opens else ()
        self.verdict.compare(f"{what}, windows", opens, list(every))
        self._in_redis(what, symbol, "kline", name, seqs)

    def signals(self, symbol: str) -> None:
        self.verdict.signals += self._numbered(symbol, "signals", "signal")

    def paper(self, symbol: str) -> None:
        self._numbered(symbol, "fills", "fill")
        self._numbered(symbol, "equity", "equity")

    def _numbered(self, symbol: str, table: str, kind: str) -> int:
        seqs = [row["seq"] for row in _rows(self.lake / table, symbol)]
        self.verdict.compare(f"{symbol} {table}", seqs, sorted(set(seqs)))
        self._in_redis(f"{symbol} {table}", symbol, kind, "", seqs)
        return len(seqs)

    def _in_redis(self, what: str, symbol: str, kind: str, name: str, expected: list[int]) -> None:
        key = stream_key(f"binance:{symbol}", kind, name)
        entries: list[Any] = self.client.xrange(key)  # type: ignore[assignment]  # not awaited
        number = "id" if kind == "trade" else "seq"
        self.verdict.entries += len(entries)
        found = [int(fields[number]) for _, fields in entries]
        self.verdict.compare(f"{what} in Redis", found, expected)


def _rows(root: Path, symbol: str, interval: str = "") -> list[dict[str, Any]]:
    folder = root / "exchange=binance" / f"symbol={symbol}"
    if interval:
        folder /= f"interval={interval}"
    return [
        row
        for path in sorted(folder.rglob("part-*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def _decimal(units: int) -> Decimal:
    return Decimal(units).scaleb(-8)


def _twelve(row: dict[str, Any]) -> tuple[Any, ...]:
    names = (
        "open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume",
        "taker_buy_quote_volume", "first_id", "last_id",
    )  # fmt: skip
    return (_us(row["open_time"]), _us(row["close_time"]) + 1, *(row[name] for name in names))


def _official(kline: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a tuple of the simulator's
    b = kline.bar
    eight = [_decimal(n) for n in (b.open, b.high, b.low, b.close, b.volume)]
    quotes = [Decimal(n).scaleb(-16) for n in (b.quote_volume, b.buy_quote_volume)]
    return (
        kline.open_us, kline.end_us, *eight, quotes[0], b.trades, _decimal(b.buy_volume), quotes[1],
        b.first_id, b.last_id,
    )  # fmt: skip
