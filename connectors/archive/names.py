"""What a file of somebody else's is, from its name and, where that does not say, its first line.

Binance names its public files ``BTCUSDT-trades-2025-01-31.zip``, ``BTCUSDT-aggTrades-2025-01.zip``
and ``BTCUSDT-1m-2025-01-31.zip`` (a month is ``1mo``), USD-M ones lie below ``futures/um``
(binance-public-data, README.md).
"""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from connectors.archive.opening import head
from core.market.errors import FileError, SymbolError
from core.market.intervals import DAY_US, INTERVALS, SECOND_US, Interval
from core.market.symbols import MARKETS, Instrument


class Kind(StrEnum):
    """What rows a file holds."""

    TRADES = "trades"
    AGGREGATES = "aggTrades"
    KLINES = "klines"
    FRAMES = "frames"


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file and what is known of it.

    `period` is the half-open span of UTC, in microseconds, that an official file covers whole;
    None for others.
    """

    path: Path
    kind: Kind
    key: str = ""
    interval: Interval | None = None
    period: tuple[int, int] | None = None


# A delivery contract is BTCUSDT_240329.
_NAME = re.compile(
    r"(?:(?P<market>spot|usdm)_)?(?P<symbol>[^\W_]{2,40}(?:_\d{6})?)-"
    r"(?P<what>trades|aggTrades|\d+(?:mo|[smhdwM]))(?P<rest>[-_].*)?"
)
_OTHERS = re.compile(
    r"(?:\d{4}(?:-\d{2})?_)?(?P<base>[A-Z0-9]{1,20})_(?P<quote>[A-Z0-9]{2,20})-(?P<what>\d+[smhdwM])"
    r"(?:_.*)?"
)
_PERIOD = re.compile(r"-(\d{4})-(\d{2})(?:-(\d{2}))?")
_ENDINGS = (".gz", ".zip", ".csv", ".json", ".txt", ".jsonl")
_COLUMNS = {12: Kind.KLINES, 13: Kind.KLINES, 8: Kind.AGGREGATES}
_ACCEPTED = (
    "accepted are Binance's csv and zip files of trades, aggTrades and klines, captures of one "
    "frame per line, recordings and lake folders"
)


def detect(path: Path, *, symbol: str | None = None, market: str | None = None) -> ArchiveFile:
    """Say what a file is; `symbol` and `market` win over what its name says.

    Raises:
        FileError: It cannot be read, or nothing that is accepted; it says what is.

    """
    if not path.is_file():
        raise FileError(path, "no such file")
    lines = head(path).decode("utf-8", "replace").split("\n")
    start = next((line.strip() for line in lines if line.strip()), "")
    if _is_capture(start) and ".json" not in path.suffixes:
        return ArchiveFile(path, Kind.FRAMES)
    stem = _stem(path)
    match = _NAME.fullmatch(stem) or _OTHERS.fullmatch(stem)
    if match is None:
        return _by_columns(path, start, symbol, market)
    said = match.groupdict()
    name = symbol or said.get("symbol") or f"{said['base']}{said['quote']}"
    what = said["what"]
    key = _key(path, name, market or said.get("market"))
    period = _period(said.get("rest") or "")
    if what in {"trades", "aggTrades"}:
        return ArchiveFile(path, Kind(what), key, None, period)
    return ArchiveFile(path, Kind.KLINES, key, _interval(path, what), period)


def market_of(path: Path) -> str:
    """Return ``usdm`` if the path says futures, else ``spot``."""
    return "usdm" if "/futures/um/" in path.absolute().as_posix() else "spot"


def _key(path: Path, symbol: str, market: str | None) -> str:
    if "/futures/cm/" in path.absolute().as_posix():
        raise FileError(path, "COIN-M futures are not read: their quantities are contracts")
    chosen = market or market_of(path)
    if chosen not in MARKETS:
        raise FileError(path, f"unknown market, known are {' '.join(MARKETS)}", value=chosen)
    try:
        return Instrument.of(symbol, MARKETS[chosen]).key
    except SymbolError as error:
        raise FileError(path, str(error)) from None


def _by_columns(path: Path, start: str, symbol: str | None, market: str | None) -> ArchiveFile:
    if symbol is None:
        hint = f"its name does not say which symbol: use --symbol; {_ACCEPTED}"
        raise FileError(path, hint, value=start[:60])
    if start.startswith(("[", "{")):
        return ArchiveFile(path, Kind.KLINES, _key(path, symbol, market))
    cells = start.split(",")
    kind = _by_header(cells) or _COLUMNS.get(len(cells))
    if kind is None and len(cells) in {6, 7}:
        # Trades have a flag in the sixth column, aggregates a time, lists of OHLCV the volume.
        others = Kind.KLINES if len(cells) == 6 else Kind.AGGREGATES
        kind = Kind.TRADES if cells[5].strip().lower() in {"true", "false"} else others
    if kind is None:
        raise FileError(path, f"{len(cells)} columns; {_ACCEPTED}", value=start[:60])
    return ArchiveFile(path, kind, _key(path, symbol, market))


def _by_header(cells: list[str]) -> Kind | None:
    said = {cell.strip().lower().replace("_", "") for cell in cells}
    if {"open", "close"} <= said:
        return Kind.KLINES
    if "aggtradeid" in said:
        return Kind.AGGREGATES
    return Kind.TRADES if "price" in said and {"id", "tradeid"} & said else None


def _is_capture(start: str) -> bool:
    if start.startswith(("wss://", "ws://", "{")):
        return True
    head, brace, _ = start.partition("{")
    return bool(brace) and bool(re.fullmatch(r"\d+(\.\d+)?\s*:?\s*", head))


def _stem(path: Path) -> str:
    stem = path.name
    while stem.endswith(_ENDINGS):
        stem = stem[: stem.rindex(".")]
    return stem


def _interval(path: Path, what: str) -> Interval:
    name = what.removesuffix("mo") + "M" if what.endswith("mo") else what
    if name not in INTERVALS:
        raise FileError(path, f"unknown interval, known are {' '.join(INTERVALS)}", value=what)
    return INTERVALS[name]


def _period(rest: str) -> tuple[int, int] | None:
    match = _PERIOD.fullmatch(rest)
    if match is None:
        return None
    year, month, day = int(match[1]), int(match[2]), int(match[3] or 1)
    try:
        start = int(datetime(year, month, day, tzinfo=UTC).timestamp()) * SECOND_US
    except ValueError:
        return None
    days = 1 if match[3] else calendar.monthrange(year, month)[1]
    return start, start + days * DAY_US
