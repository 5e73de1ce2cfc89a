"""What a lake holds by day, read a piece at a time in either direction: for pages, not for replays.

    the logs, once ─► which days there are ─► a day's parts ─► row groups ─► tables

Only folders are listed before somebody asks for a day, so a page of the newest rows costs the same
however long the lake reaches back.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pyarrow.parquet as pq

from connectors.parquet.encoding import BROKEN, ROW_GROUP_ROWS, unreadable
from connectors.parquet.layout import Kind, Part, Wanted, part_name, part_of
from connectors.parquet.open_rows import logged_parts
from connectors.parquet.tables import Table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Bounds: TypeAlias = dict[str, tuple[int, int]]
"""By column, the lowest and the highest value (times in microseconds) that is of interest."""


@dataclass(slots=True)
class Shelf:
    """The days of a lake that hold what is wanted.

    Attributes:
        folders: Folders of files by day.
        logged: Parts of the logs by day.

    """

    folders: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    logged: dict[str, list[Part]] = field(default_factory=lambda: defaultdict(list))

    def days(self, *, descending: bool = False) -> list[str]:
        """Return the days that hold rows."""
        return sorted({*self.folders, *self.logged}, reverse=descending)

    def parts(self, day: str) -> list[Part]:
        """Return a day's parts, in order; a row that moved meanwhile is in two of them."""
        files = [part for folder in self.folders.get(day, ()) for part in _files(folder)]
        return sorted(files + self.logged.get(day, []))


def look(root: Path, wanted: Wanted) -> Shelf | None:
    """Return what a lake holds, rows that are in no file yet included; None: there is no lake.

    Raises:
        FileError: A log cannot be read.

    """
    top = root.resolve()
    if not top.is_dir():
        return None
    shelf = Shelf()
    for part in logged_parts(top, wanted):  # before the files: see there
        shelf.logged[part.date].append(part)
    for folder in _folders(top / wanted.kind, wanted):
        place = part_of(folder / part_name(0))
        if wanted.takes(place):
            shelf.folders[place.date].append(folder)
    return shelf


def tables(part: Part, bounds: Bounds, *, descending: bool = False) -> Iterator[Table]:
    """Yield a part's rows in pieces of bounded size, without pieces that surely hold none inside.

    Raises:
        FileNotFoundError: The file was replaced meanwhile: look again.
        FileError: It is broken.

    """
    if part.rows is not None:
        yield from _cut(part.rows, descending=descending)
        return
    try:
        with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
            groups = range(file.metadata.num_row_groups)
            for n in reversed(groups) if descending else groups:
                if _inside(file.metadata.row_group(n), file.schema_arrow.names, bounds):
                    yield file.read_row_group(n, use_threads=False)
    except FileNotFoundError:
        raise
    except BROKEN as error:
        raise unreadable(part.path, error) from error


def holds(root: Path, key: str) -> bool:
    """Say whether a lake has a folder of an instrument, of whatever kind."""
    for kind in Kind:
        wanted = Wanted(kind, {key})
        for folder in _folders(root.resolve() / kind, wanted):
            if wanted.takes(part_of(folder / part_name(0))):
                return True
    return False


def _cut(rows: Table, *, descending: bool) -> Iterator[Table]:
    starts = range(0, rows.num_rows, ROW_GROUP_ROWS)
    for start in reversed(starts) if descending else starts:
        yield rows.slice(start, ROW_GROUP_ROWS)


def _inside(group: object, names: list[str], bounds: Bounds) -> bool:
    for name, (low, high) in bounds.items():
        column = group.column(names.index(name))  # type: ignore[attr-defined]  # pyarrow has no types
        found = column.statistics
        if found is None or not found.has_min_max:
            continue  # another tool wrote it without them: its rows will tell
        if _number(found.max) < low or _number(found.min) > high:
            return False
    return True


def _number(value: object) -> int:
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else int(value)  # type: ignore[call-overload]  # an int64


def _folders(top: Path, wanted: Wanted) -> Iterator[Path]:
    try:
        entries = list(os.scandir(top))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if not wanted.enters(entry.name):
            continue
        if entry.name.startswith("date="):
            yield Path(entry.path)
        elif "=" in entry.name:
            yield from _folders(Path(entry.path), wanted)


def _files(folder: Path) -> Iterator[Part]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.name.endswith(".parquet") and not entry.name.startswith((".", "_")):
            yield part_of(Path(entry.path))
