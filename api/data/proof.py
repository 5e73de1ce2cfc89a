"""Whether a symbol's days are complete, by the files of the lake; what was found is kept a while.

A verdict holds for as long as the files that it rests on are the same: their names, sizes and
times are its name here. All of it blocks.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from connectors.parquet.layout import Kind, Part, Wanted
from connectors.parquet.open_rows import logged_parts
from core.ledger import Certificate
from core.ledger.certificate import Missing
from core.market.errors import FileError
from core.market.intervals import DAY_US
from dataflows.certify import Book
from dataflows.lakedays import LakeDays, lakes_of, start_of

Mark: TypeAlias = tuple[object, ...]

_KEPT = 512
_SECONDS = 5.0
"""How long a calendar may compute; days that are not done by then are asked for again."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the calendar.

    Attributes:
        certificate: None: it was not looked at yet.
        open: Rows of it are still in a log: it lasts.

    """

    date: str
    certificate: Certificate | None
    open: bool


class Proofs:
    """Certifies days of a lake.

    Args:
        root: The lake.
        clock: Monotonic seconds.

    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock = root, clock
        self._kept: OrderedDict[Mark, Certificate] = OrderedDict()
        self._lock = threading.Lock()

    def days(self, key: str) -> list[str]:
        """Return the days from the first one held to the last.

        Raises:
            FileError: There is no lake, or nothing of the symbol in it.

        """
        held, lasting = self._lake(key).days(), self._open(key)
        return sorted({*held, *lasting})

    def certificate(self, key: str, day: str) -> tuple[Certificate, bool]:
        """Return a day's certificate, and whether the day still lasts; errors as `days`."""
        lake = self._lake(key)
        found = self._of(lake, Book(lake), day, deep=True)
        return found, day in self._open(key)

    def calendar(self, key: str, days: list[str]) -> list[Day]:
        """Return what is known of some days, without recounting their klines; errors as `days`."""
        lake = self._lake(key)
        book, until = Book(lake, deep=False), self._clock() + _SECONDS
        lasting, found = self._open(key), []
        for day in days:
            known = self._known(_mark(lake, day, deep=False))
            if known is None and self._clock() <= until:
                known = self._of(lake, book, day, deep=False)
            found.append(Day(day, known, day in lasting))
        return found

    def missing(self, key: str, start_us: int | None, end_us: int | None) -> Iterator[Missing]:
        """Yield what is missing in a time, in order, each range once; errors as `days`."""
        lake = self._lake(key)
        book = Book(lake, deep=False)
        seen: set[Mark] = set()
        for day in lake.days():
            begin = start_of(day)
            if (start_us or 0) >= begin + DAY_US or (end_us is not None and end_us <= begin):
                continue
            for one in self._of(lake, book, day, deep=False).missing:
                mark = (one.first_id, one.last_id, 0 if one.between else one.start_us)
                if mark not in seen and _touches(one, start_us, end_us):
                    seen.add(mark)
                    yield one

    def _lake(self, key: str) -> LakeDays:
        try:
            return lakes_of(self._root, key)[0]
        except FileError:
            if not self._root.is_dir() or not self._open(key):
                raise
            return LakeDays(self._root, key)  # all of it is still in a log

    def _open(self, key: str) -> set[str]:
        return {part.date for part in logged_parts(self._root, Wanted(Kind.TRADES, {key}))}

    def _of(self, lake: LakeDays, book: Book, day: str, *, deep: bool) -> Certificate:
        mark = _mark(lake, day, deep=deep)
        found = self._known(mark)
        if found is None:
            found = book.certificate(day)
            with self._lock:
                self._kept[mark] = found
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return found

    def _known(self, mark: Mark) -> Certificate | None:
        with self._lock:
            found = self._kept.get(mark)
            if found is not None:
                self._kept.move_to_end(mark)
            return found


def _mark(lake: LakeDays, day: str, *, deep: bool) -> Mark:
    return (lake.key, day, deep, *_files(lake, day))


def _files(lake: LakeDays, day: str) -> Iterator[Mark]:
    before = max((d for d in lake.trades if d < day), default="")
    after = min((d for d in lake.trades if d > day), default="")
    parts = [p for d in (before, day, after) for p in lake.trades.get(d, ())]
    parts += lake.others.get(day, ())
    # A hole may be named, or a halt begin, on another day.
    parts += [p for own in lake.others.values() for p in own if p.slot.kind is Kind.EVENTS]
    parts += [p for own in lake.shards.values() for p in own]
    yield from (_file(part) for part in parts)


def _file(part: Part) -> Mark:
    try:
        told = part.path.stat()
    except FileNotFoundError:  # replaced meanwhile: another name then
        return (str(part.path),)
    return str(part.path), told.st_size, told.st_mtime_ns


def _touches(missing: Missing, start_us: int | None, end_us: int | None) -> bool:
    after = start_us is None or missing.end_us >= start_us
    return after and (end_us is None or missing.start_us < end_us)
