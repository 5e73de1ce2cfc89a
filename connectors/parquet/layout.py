"""Names in the lake, which sort in the order of the data.

    lake/trades/exchange=binance/symbol=BTCUSDT/date=2024-08-08/part-00000000003735683259.parquet
    lake/klines/exchange=binance/symbol=BTCUSDT/interval=1m/date=2024-08-08/part-….parquet

The number is the first trade id, for all other records the lowest `seq`.
"""

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa

from core.market.errors import FileError
from core.market.symbols import Instrument

_PLAIN = re.compile(r"[A-Za-z0-9_-]")
_PART = re.compile(r"part-(\d{1,20})\.parquet", re.ASCII)


class Kind(StrEnum):
    """The kinds of records, each with one schema."""

    TRADES = "trades"
    KLINES = "klines"
    SIGNALS = "signals"
    FILLS = "fills"
    EQUITY = "equity"
    EVENTS = "events"
    QUARANTINE = "quarantine"
    FEATURES = "features"
    PREDICTIONS = "predictions"
    SCORES = "scores"


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """What goes into one file at a time; `interval` is for klines and features only."""

    kind: Kind
    key: str
    interval: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One file of the lake; parts sort in the order of their rows.

    `rows` are those of a file that is not there yet: of a log, in memory.
    """

    slot: Slot
    date: str
    first: int
    path: Path
    rows: pa.Table | None = field(default=None, compare=False)


def escape(text: str) -> str:
    """Return a text as a folder name: ASCII other than letters, digits, - and _ becomes ``%2E``.

    Letters of other alphabets stay: every file system of today holds them, and names stay short.
    """
    return "".join(c if _PLAIN.match(c) or _is_letter(c) else _quoted(c) for c in text)


def folder(root: Path, slot: Slot, time_us: int) -> Path:
    """Return the folder of a slot's rows of the UTC day of `time_us`."""
    exchange, _, symbol = slot.key.partition(":")
    path = root / slot.kind / f"exchange={escape(exchange)}" / f"symbol={escape(symbol)}"
    if slot.interval:
        path /= f"interval={slot.interval}"
    return path / f"date={day_of(time_us)}"


def part_name(first: int) -> str:
    """Return the name of the file whose lowest id is `first`; names sort as ids do."""
    return f"part-{first:020d}.parquet"


def first_of(path: Path) -> int | None:
    """Return the lowest id that a file's name tells, or None if it is no part."""
    match = _PART.fullmatch(path.name)
    return int(match[1]) if match else None


def day_of(time_us: int) -> str:
    """Return the UTC day, ``2024-08-08``."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which parts to find.

    Attributes:
        kind: The kind of records.
        symbols: Symbols (``BTCUSDT``) or keys (``binance:BTCUSDT``); None for all.
        first_day: First day, ``2024-08-08``; empty for no bound.
        last_day: Last day, inclusive; empty for no bound.
        intervals: Intervals of klines or features; None for all.

    """

    kind: Kind
    symbols: Collection[str] | None = None
    first_day: str = ""
    last_day: str = ""
    intervals: Collection[str] | None = None

    def takes(self, part: Part) -> bool:
        """Say whether a part is one of them."""
        return self.takes_slot(part.slot) and self._takes_field("date", part.date)

    def takes_slot(self, slot: Slot) -> bool:
        """Say whether parts of a slot can be of them."""
        return (
            slot.kind is self.kind
            and self._takes_key(slot.key)
            and self._takes_field("interval", slot.interval)
        )

    def enters(self, name: str) -> bool:
        """Say whether such parts can be below a folder of that name."""
        if name.startswith("."):
            return False
        field, equals, value = name.partition("=")
        if not equals:
            return name == self.kind or name not in set(Kind)
        return self._takes_field(field, _unescape(value))

    def _takes_key(self, key: str) -> bool:
        if self.symbols is None:
            return True
        return key in self.symbols or Instrument.from_key(key).symbol in self.symbols

    def _takes_field(self, field: str, value: str) -> bool:
        if field == "symbol" and self.symbols is not None:
            return value in {s.rpartition(":")[2] for s in self.symbols}
        if field == "interval" and self.intervals is not None:
            return value in self.intervals
        if field == "date":
            return self.first_day <= value and (not self.last_day or value <= self.last_day)
        return True


def find(path: Path, wanted: Wanted) -> list[Part]:
    """Return the parts at or below `path` (the lake, any folder of it, a file), in order.

    Raises:
        FileError: There is no such path, or a Parquet file below it is not of the lake.

    """
    top = path.resolve()
    if not top.exists():
        raise FileError(path, "no such file or folder")
    files = [top] if top.is_file() else _walk(top, wanted)
    return sorted(part for part in map(part_of, files) if wanted.takes(part))


def part_of(path: Path) -> Part:
    """Return what a file's place in the lake says of it, or raise `FileError`."""
    first = first_of(path)
    folders = [parent.name for parent in path.parents]
    fields = dict(name.split("=", 1) for name in reversed(folders) if "=" in name)
    kind = next((name for name in folders if name in set(Kind)), None)
    if first is None or kind is None or not {"exchange", "symbol", "date"} <= fields.keys():
        expected = "<kind>/exchange=…/symbol=…/date=…/part-<number>.parquet"
        raise FileError(path, f"not a file of a lake, whose files are {expected}")
    key = f"{_unescape(fields['exchange'])}:{_unescape(fields['symbol'])}"
    slot = Slot(Kind(kind), key, fields.get("interval", ""))
    return Part(slot, fields["date"], first, path)


def _walk(top: Path, wanted: Wanted) -> Iterator[Path]:
    for place, folders, names in os.walk(top):
        folders[:] = [name for name in folders if wanted.enters(name)]
        for name in names:
            if name.endswith(".parquet") and not name.startswith((".", "_")):
                yield Path(place, name)


def _is_letter(char: str) -> bool:
    return ord(char) > 127 and char.isalnum()


def _quoted(char: str) -> str:
    return quote(char, safe="", errors="surrogatepass") if char not in ".~" else f"%{ord(char):02X}"


def _unescape(text: str) -> str:
    return unquote(text, errors="surrogatepass")
