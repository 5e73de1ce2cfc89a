"""A lake by instrument and day: which files there are, and what its small records say."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.binance.subscriptions import shard_of
from connectors.parquet.encoding import BROKEN, unreadable
from connectors.parquet.layout import Kind, Part, Wanted, find
from core.ledger.certificate import FileSum, Halt, Happened, Named
from core.market.errors import ConfigError, FileError
from core.market.intervals import DAY_US, SECOND_US

LINKS = ("connected", "disconnected", "rotated")
_SHARD = "shard-"
_TRADING = "TRADING"

Broken = list[tuple[str, str]]
"""(path in the lake, why) of files that cannot be read."""


@dataclass(frozen=True, slots=True)
class Said:
    """One stored event."""

    kind: str
    time_us: int
    detail: dict[str, Any]


@dataclass(slots=True)
class LakeDays:
    """The files of one instrument, and those of the connection that carries it.

    Attributes:
        root: The lake.
        key: The instrument's key.
        trades: Files of trades by day.
        others: All other files by day.
        shards: Files of the connections' events by their key.

    """

    root: Path
    key: str
    trades: dict[str, list[Part]] = field(default_factory=lambda: defaultdict(list))
    others: dict[str, list[Part]] = field(default_factory=lambda: defaultdict(list))
    shards: dict[str, list[Part]] = field(default_factory=dict)
    _said: "list[tuple[str, Said]] | None" = None
    _broken: dict[str, Broken] = field(default_factory=lambda: defaultdict(list))

    def days(self) -> list[str]:
        """Return every day from the first one held to the last."""
        known = sorted({*self.trades, *self.others})
        return [] if not known else list(days_between(known[0], known[-1]))

    def name(self, path: Path) -> str:
        """Return a path from the lake's folder on."""
        try:
            return path.relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return str(path)

    def why(self, error: FileError) -> tuple[str, str]:
        """Return what a certificate says of a file that cannot be read."""
        return self.name(Path(error.path)), error.why

    def sums(self, day: str) -> tuple[FileSum, ...]:
        """Return the SHA-256 of each file of a day."""
        parts = [*self.trades.get(day, ()), *self.others.get(day, ())]
        return tuple(sorted((_sum(self.name(p.path), p.path) for p in parts), key=_path))

    def happened(self, day: str) -> tuple[Happened, Broken]:
        """Return what the events of a day say, and which of their files cannot be read."""
        if self._said is None:
            self._said = sorted(self._events(), key=lambda row: row[1].time_us)
        start = start_of(day)
        span = range(start, start + DAY_US)
        own = [said for key, said in self._said if key == self.key]
        today = [said for said in own if said.time_us in span]
        quarantined, broken = self._quarantined(day)
        happened = Happened(
            gaps=tuple(_named(said) for said in own if said.kind == "gap"),
            halts=_halts(own, span),
            links=tuple(
                (said.kind, key, said.time_us)
                for key, said in self._said
                if said.kind in LINKS and said.time_us in span
            ),
            late=sum(1 for said in today if said.kind == "late"),
            kline_mismatches=tuple(
                f"{said.detail['interval']} {said.detail['detail']}"
                for said in today
                if said.kind == "kline_mismatch"
            ),
            strategy_errors=sum(1 for said in today if said.kind == "strategy_errored"),
            quarantined=quarantined,
        )
        return happened, [*self._broken[day], *broken]

    def _events(self) -> Iterator[tuple[str, Said]]:
        own = [p for parts in self.others.values() for p in parts if p.slot.kind is Kind.EVENTS]
        links = [p for p in self._link_parts() if p.slot.kind is Kind.EVENTS]
        for part in (*own, *links):
            try:
                for said in _read_events(part.path):
                    yield part.slot.key, said
            except FileError as error:
                self._broken[part.date].append(self.why(error))

    def _link_parts(self) -> list[Part]:
        # The symbol's own connection; with a number of shards that the lake does not show, all.
        symbol = self.key.partition(":")[2]
        numbers = {key: int(key.rpartition("-")[2]) for key in self.shards}
        count = max(numbers.values(), default=-1) + 1
        mine = [key for key, n in numbers.items() if n == shard_of(symbol, count)]
        return [part for key in mine or self.shards for part in self.shards[key]]

    def _quarantined(self, day: str) -> tuple[int, Broken]:
        rows, broken = 0, []
        for part in (*self.others.get(day, ()), *self._link_parts()):
            if part.slot.kind is Kind.QUARANTINE and part.date == day:
                try:
                    rows += int(pq.read_metadata(part.path).num_rows)
                except BROKEN as error:
                    broken.append(self.why(unreadable(part.path, error)))
        return rows, broken


def lakes_of(root: Path, symbol: str | None = None) -> list[LakeDays]:
    """Return what a lake holds, by instrument.

    Args:
        root: The lake.
        symbol: ``BTCUSDT`` or ``binance:BTCUSDT``, in any case; None for all.

    Raises:
        FileError: There is no lake, or a Parquet file in it is not of one.

    """
    wanted = None if symbol is None else _spelled(symbol)
    found: dict[str, LakeDays] = {}
    shards: dict[str, dict[str, list[Part]]] = defaultdict(lambda: defaultdict(list))
    for kind in Kind:
        for part in find(root, Wanted(kind)):
            key = part.slot.key
            exchange, _, name = key.partition(":")
            if name.startswith(_SHARD) and name.removeprefix(_SHARD).isdecimal():
                shards[exchange][key].append(part)
                continue
            if wanted is None or wanted in {key, name}:
                own = found.setdefault(key, LakeDays(root, key))
                (own.trades if kind is Kind.TRADES else own.others)[part.date].append(part)
    if not found:
        raise FileError(root, f"holds nothing{f' of {symbol}' if symbol else ''}")
    for key, own in found.items():
        own.shards = shards[key.partition(":")[0]]
    return [found[key] for key in sorted(found)]


def start_of(day: str) -> int:
    """Return the start of a UTC day, microseconds since the epoch.

    Raises:
        ConfigError: It is no day.

    """
    try:
        at = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError("day", f"`{day}` is no day", hint="such as 2025-01-31") from None
    return int(at.timestamp()) * SECOND_US


def days_between(first: str, last: str) -> Iterator[str]:
    """Yield the days from one to another, inclusive."""
    day = date.fromisoformat(first)
    while day <= date.fromisoformat(last):
        yield day.isoformat()
        day += timedelta(days=1)


def _spelled(symbol: str) -> str:
    exchange, colon, name = symbol.rpartition(":")
    return f"{exchange}{colon}{name.upper()}"


def _read_events(path: Path) -> Iterator[Said]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(columns=["time", "kind", "detail"], use_threads=False):
                times = batch.column("time").view(pa.int64()).to_pylist()
                columns = (batch.column(name).to_pylist() for name in ("kind", "detail"))
                for at, kind, detail in zip(times, *columns, strict=True):
                    yield Said(kind, at, orjson.loads(detail))
    except (*BROKEN, KeyError, ValueError) as error:
        raise unreadable(path, error) from error


def _named(said: Said) -> Named:
    d = said.detail
    return Named(int(d["first_id"]), int(d["last_id"]), said.time_us, str(d["reason"]))


def _halts(said: list[Said], span: range) -> tuple[Halt, ...]:
    # It is TRADING until an event says otherwise (`StatusChanged`).
    out: list[Halt] = []
    status, since = _TRADING, 0
    changes = [(s.time_us, str(s.detail["status"])) for s in said if s.kind == "status_changed"]
    for at, new in [*changes, (span.stop, "")]:
        start, end = max(since, span.start), min(at, span.stop)
        if status != _TRADING and start < end:
            out.append(Halt(status, start, end))
        status, since = new, at
    return tuple(out)


def _sum(name: str, path: Path) -> FileSum:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileSum(name, path.stat().st_size, digest)


def _path(file: FileSum) -> str:
    return file.path
