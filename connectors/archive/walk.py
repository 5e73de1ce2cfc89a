"""The items of one instrument's files, one file behind the other, and the place of each.

An official file of trades covers its period whole, and ticks say so: the first file's start is
witnessed, and each file's end closes its last window. A tick is a promise, so none is given where
the file cannot keep it: where it is torn, or a line could not be used beyond its outermost rows.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

from connectors.archive.facts import FileFacts
from connectors.archive.klines import KlinesReader
from connectors.archive.names import ArchiveFile, Kind
from connectors.archive.opening import Told, checksum_of, head
from connectors.archive.trades import TradesReader
from core.market.events import Event, Tick
from core.market.kline import Kline
from core.market.position import Positions
from core.market.trades import Trades
from telemetry.progress import PROGRESS

Out: TypeAlias = Trades | Kline | Event | Tick

GRACE_US = 1_000_000
_TIME = re.compile(
    r"(?<![\d.-])(?:(?P<number>\d{16}|\d{13})(?!\d)|(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d))"
)


class Place(NamedTuple):
    """How far an instrument's files have been handed out.

    Attributes:
        file: Index of the file.
        item: Items of it that were handed out whole.
        row: Rows of the next item that were handed out.
        position: Data position at which the file began.
        expected_us: End of the last kline before the file; -1 for none.

    """

    file: int = 0
    item: int = 0
    row: int = 0
    position: int = -1
    expected_us: int = -1


class Step(NamedTuple):
    """An item, the place behind it, and the lines refused so far in its file."""

    item: Out
    place: Place
    refused: int


def steps(files: Sequence[ArchiveFile], since: Place, facts: list[FileFacts]) -> Iterator[Step]:
    """Yield the items of an instrument's files from the file of `since` on.

    Items of that file that were handed out before come again; the facts of each file that is
    read are added to `facts`.
    """
    begin = since._replace(item=0, row=0)
    for index in range(begin.file, len(files)):
        file = files[index]
        positions = Positions(begin.position)
        told = _Share(file)
        reader = _reader(file, positions, told, begin.expected_us)
        reader.facts.checksum = "checked" if checksum_of(file.path).exists() else "missing"
        facts.append(reader.facts)
        for number, item in enumerate(_items(reader, file, first=index == 0), start=1):
            yield Step(item, begin._replace(item=number), reader.facts.refused)
        told.finish()
        expected_us = reader.expected_us if isinstance(reader, KlinesReader) else None
        begin = Place(index + 1, 0, 0, positions.last, -1 if expected_us is None else expected_us)


def items_of(files: Sequence[ArchiveFile]) -> Iterator[Out]:
    """Yield the items of an instrument's files, in order."""
    for step in steps(files, Place(), []):
        yield step.item


def in_order(files: Sequence[ArchiveFile]) -> list[ArchiveFile]:
    """Return files by instrument and time, that of their period or of their first row."""
    return sorted(files, key=lambda file: (file.key, _start_us(file), file.path.name))


def _reader(
    file: ArchiveFile, positions: Positions, told: Told, expected_us: int
) -> TradesReader | KlinesReader:
    if file.kind is Kind.KLINES:
        return KlinesReader(file, positions, told, None if expected_us < 0 else expected_us)
    return TradesReader(file, positions, told)


def _items(reader: TradesReader | KlinesReader, file: ArchiveFile, *, first: bool) -> Iterator[Out]:
    if isinstance(reader, KlinesReader):
        yield from reader.items()
        return
    begun = False
    for item in reader.items():
        # Only the first file's: days may be missing before a later one, which a tick would fill.
        if isinstance(item, Trades) and not begun:
            begun = True
            if file.period and first and reader.starts_whole:
                yield Tick(file.key, file.period[0])
        yield item
    if file.period and begun and reader.ends_whole:
        yield Tick(file.key, file.period[1] + GRACE_US)


def _start_us(file: ArchiveFile) -> int:
    if file.period is not None:
        return file.period[0]
    found = _TIME.search(head(file.path).decode("utf-8", "replace"))
    if found is None:
        return 0
    if found["iso"]:
        at = datetime.fromisoformat(found["iso"]).replace(tzinfo=UTC)
        return int(at.timestamp()) * 1_000_000
    number = found["number"]
    return int(number) * (1 if len(number) == 16 else 1000)


class _Share:
    """Tells the progress of one file, never more than its size in all."""

    def __init__(self, file: ArchiveFile) -> None:
        self._left = file.path.stat().st_size

    def __call__(self, size: int) -> None:
        share = min(size, self._left)
        self._left -= share
        PROGRESS.advance(share, 0)

    def finish(self) -> None:
        self(self._left)
