"""Certificates of a lake's days, from its files alone.

    files of a day ─► batches ─► DayScan ─► facts ─► certify ─► Certificate
    the nearest files before and behind it ─► edges ──┘

Batch by batch: memory does not grow with the number of trades.
"""

from collections.abc import Iterator
from pathlib import Path

import orjson

from connectors.durable import publish
from connectors.parquet.layout import Kind, Part, escape
from connectors.parquet.reader import read_klines, read_trades
from core.ledger import Certificate, DayFacts, DayScan, Edge, certify
from core.ledger.certificate import Missing, time_text
from core.ledger.recount import KlineCheck
from core.ledger.scan import edge_of
from core.market.errors import FileError
from core.market.intervals import interval
from core.market.kline import Kline
from dataflows.lakedays import Broken, LakeDays, lakes_of, start_of
from telemetry.progress import PROGRESS

RECOUNTED = "1m"
_FOLDER = "certificates"


def certificates(
    root: Path, symbol: str | None = None, day: str | None = None
) -> Iterator[Certificate]:
    """Yield the certificate of each symbol's day.

    Args:
        root: The lake.
        symbol: ``BTCUSDT`` or ``binance:BTCUSDT``; None for all.
        day: ``2025-01-31``; None for all from the first one held to the last.

    Raises:
        FileError: There is no lake, or nothing of the symbol in it.
        ConfigError: `day` is no day.

    """
    for lake in lakes_of(root, symbol):
        book = Book(lake)
        for one in [day] if day else lake.days():
            yield book.certificate(one)


def missing_ranges(root: Path, symbol: str | None = None) -> Iterator[tuple[str, Missing]]:
    """Yield (key, range) of all that is missing, in order, each once; errors as `certificates`.

    Klines are not recounted and files not summed, so this takes a fraction of the time.
    """
    for lake in lakes_of(root, symbol):
        book = Book(lake, deep=False)
        seen: set[tuple[int | None, int | None, int]] = set()
        for day in lake.days():
            for missing in book.certificate(day).missing:
                first, last = missing.first_id, missing.last_id
                mark = (first, last, 0 if missing.between else missing.start_us)
                if mark not in seen:
                    seen.add(mark)
                    yield lake.key, missing


def remedy(key: str, missing: Missing) -> str:
    """Return the command that asks for a missing range."""
    symbol = key.partition(":")[2]
    if missing.between:
        return f"cryptotools backfill {symbol} {missing.first_id}..{missing.last_id}"
    span = "..".join(time_text(at)[:19] for at in (missing.start_us, missing.end_us))
    return f"cryptotools backfill {symbol} {span}"


def certificate_path(root: Path, certificate: Certificate) -> Path:
    """Return where a certificate is stored."""
    exchange, _, symbol = certificate.key.partition(":")
    place = root / _FOLDER / f"exchange={escape(exchange)}" / f"symbol={escape(symbol)}"
    return place / f"{certificate.day}.json"


def write(root: Path, certificate: Certificate) -> Path:
    """Store a certificate beside the lake; the same lake gives the same bytes."""
    path = certificate_path(root, certificate)
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    publish(path, orjson.dumps(certificate.as_dict(), option=options), service="certificates")
    return path


class Book:
    """Certifies the days of one instrument; days in order share what they know of their edges.

    `deep` recounts the klines and sums the files.
    """

    def __init__(self, lake: LakeDays, *, deep: bool = True) -> None:
        self._lake = lake
        self._deep = deep
        self._edges: dict[str, tuple[Edge | None, Edge | None]] = {}  # of days that were scanned

    def certificate(self, day: str) -> Certificate:
        """Return the certificate of a day."""
        lake = self._lake
        parts = lake.trades.get(day, [])
        happened, broken = lake.happened(day)
        before = self._edge(max((d for d in lake.trades if d < day), default=""), last=True)
        scan, unread = self._scan(day, parts, before)
        after = self._edge(min((d for d in lake.trades if d > day), default=""), last=False)
        scan.end(after)
        check, unchecked = self._check(day, scan)
        return certify(
            DayFacts(
                day=day,
                scan=scan,
                before=before,
                after=after,
                files=tuple(lake.name(part.path) for part in parts),
                broken=(*unread, *unchecked, *broken),
                happened=happened,
                klines=check,
                sums=lake.sums(day) if self._deep else (),
            )
        )

    def _scan(self, day: str, parts: list[Part], before: Edge | None) -> tuple[DayScan, Broken]:
        scan = DayScan(self._lake.key, start_of(day), interval(RECOUNTED) if self._deep else None)
        scan.begin(before)
        broken: Broken = []
        for number, part in enumerate(parts):
            PROGRESS.expect(part.path.stat().st_size)
            try:
                for _, trades in read_trades(part.path):
                    scan.add(trades, number)
                    PROGRESS.advance(0, len(trades))
            except FileError as error:
                broken.append(self._lake.why(error))
            PROGRESS.advance(part.path.stat().st_size, 0)
        self._edges[day] = scan.first, scan.last
        return scan, broken

    def _edge(self, day: str, *, last: bool) -> Edge | None:
        if not day:
            return None
        if day in self._edges:
            return self._edges[day][last]
        parts = self._lake.trades[day]
        found: Edge | None = None
        try:
            for _, trades in read_trades(parts[-1 if last else 0].path):
                edge = edge_of(trades, first=not last)
                if not last:
                    return edge
                found = edge if edge.trade or not found else edge._replace(trade=found.trade)
        except FileError:
            return None  # what cannot be read proves nothing
        return found

    def _check(self, day: str, scan: DayScan) -> tuple[KlineCheck | None, Broken]:
        if scan.recount is None:
            return None, []
        stored: list[Kline] = []
        broken: Broken = []
        for part in self._lake.others.get(day, ()):
            if part.slot.kind is Kind.KLINES and part.slot.interval == RECOUNTED:
                try:
                    stored += read_klines(part.path)
                except FileError as error:
                    broken.append(self._lake.why(error))
        return scan.recount.check(stored), broken
