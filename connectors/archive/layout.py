"""Which column holds what: from the header where there is one, else from the number of columns.

Binance's files have fixed columns, some with a header, some without (binance-public-data#177). A
header is believed: its columns may stand in any order, and unknown ones are passed over.
"""

import re
from collections import Counter
from dataclasses import dataclass
from enum import Enum

from connectors.archive.names import ArchiveFile, Kind
from core.market.errors import FileError


class Cell(Enum):
    """What a column's cells are."""

    WHOLE = "a whole number"
    TIME = "a time in ms or us, or ISO text"
    DECIMAL = "a price or quantity"
    SUM = "a quote volume"
    FLAG = "true or false"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns stand.

    Attributes:
        width: Number of columns.
        at: Position by our name.
        header_line: Number of the header's line; 0 for none.
        zoned: Whether times, as ISO text, name their zone; None where times are numbers.
        sums: Whether prices and volumes may have the digits of sums: in klines of others they
            can be computed, as ``0.30000000000000004``.
        expected: The width, for people.

    """

    width: int
    at: dict[str, int]
    header_line: int = 0
    zoned: bool | None = None
    sums: bool = False
    expected: str = ""


CELLS = {
    "id": Cell.WHOLE, "first": Cell.WHOLE, "last": Cell.WHOLE, "trades": Cell.WHOLE,
    "time": Cell.TIME, "open_time": Cell.TIME, "close_time": Cell.TIME,
    "price": Cell.DECIMAL, "quantity": Cell.DECIMAL,
    "open": Cell.DECIMAL, "high": Cell.DECIMAL, "low": Cell.DECIMAL, "close": Cell.DECIMAL,
    "volume": Cell.DECIMAL, "taker_volume": Cell.DECIMAL,
    "quote": Cell.SUM, "taker_quote": Cell.SUM,
    "maker": Cell.FLAG, "closed": Cell.FLAG,
}  # fmt: skip

_TRADE = ("id", "price", "quantity", "", "time", "maker")
_AGGREGATE = ("id", "price", "quantity", "first", "last", "time", "maker")
_OHLCV = ("open_time", "open", "high", "low", "close", "volume")
_KLINE = (*_OHLCV, "close_time", "quote", "trades", "taker_volume", "taker_quote", "")
_BY_WIDTH = {
    Kind.TRADES: {6: _TRADE, 7: (*_TRADE, "")},
    Kind.AGGREGATES: {7: _AGGREGATE, 8: (*_AGGREGATE, "")},
    Kind.KLINES: {6: _OHLCV, 12: _KLINE, 13: (*_KLINE, "")},
}
_EXPECTED = {Kind.TRADES: "6 to 7", Kind.AGGREGATES: "7 to 8", Kind.KLINES: "12 or 6"}
_NEEDED = {
    Kind.TRADES: {"id", "price", "quantity", "time", "maker"},
    Kind.AGGREGATES: set(_AGGREGATE),
    Kind.KLINES: set(_OHLCV),
}
# Binance's own headers and short names, and those that others gave the same columns.
_COMMON = {
    "price": "price", "p": "price", "qty": "quantity", "quantity": "quantity", "q": "quantity",
    "time": "time", "transacttime": "time", "transactiontime": "time", "T": "time",
    "isbuyermaker": "maker", "isbuyermarketmaker": "maker", "m": "maker",
}  # fmt: skip
_NAMES = {
    Kind.TRADES: {**_COMMON, "id": "id", "tradeid": "id", "t": "id"},
    Kind.AGGREGATES: {
        **_COMMON, "aggtradeid": "id", "a": "id", "firsttradeid": "first", "f": "first",
        "lasttradeid": "last", "l": "last",
    },
    Kind.KLINES: {
        "opentime": "open_time", "opentimems": "open_time", "t": "open_time", "date": "open_time",
        "timestamp": "open_time", "time": "open_time",
        "open": "open", "o": "open", "high": "high", "h": "high", "low": "low", "l": "low",
        "close": "close", "c": "close", "volume": "volume", "v": "volume",
        "closetime": "close_time", "closetimems": "close_time", "T": "close_time",
        "quotevolume": "quote", "quoteassetvolume": "quote", "qav": "quote", "q": "quote",
        "count": "trades", "numtrades": "trades", "numberoftrades": "trades", "n": "trades",
        "takerbuyvolume": "taker_volume", "takerbase": "taker_volume", "V": "taker_volume",
        "takerbuybaseassetvolume": "taker_volume",
        "takerbuyquotevolume": "taker_quote", "takerquote": "taker_quote", "Q": "taker_quote",
        "takerbuyquoteassetvolume": "taker_quote", "isclosed": "closed", "x": "closed",
    },
}  # fmt: skip
_LOOKED_AT = 100
_WORD = re.compile(r'\s*"?[A-Za-z][\w ]*"?\s*', re.ASCII)


def columns_of(kind: Kind, cells: list[str]) -> dict[str, int]:
    """Return where a header says our columns stand; empty if it is no header.

    >>> columns_of(Kind.TRADES, ["id", "price", "qty", "time", "is_buyer_maker"])["maker"]
    4
    >>> columns_of(Kind.TRADES, ["1", "0.5", "3", "1", "true"])
    {}
    """
    names = _NAMES[kind]
    found: dict[str, int] = {}
    for position, cell in enumerate(cells):
        plain = cell.strip().strip('"')
        name = names.get(plain) or names.get(plain.replace("_", "").replace(" ", "").lower())
        if name is not None:
            found.setdefault(name, position)
    return found


def layout_of(file: ArchiveFile, text: str) -> Layout | None:
    """Return the layout of a file that begins with `text`; None if there is no line in it.

    Raises:
        FileError: Its columns are not those of its kind.

    """
    rows = [line.strip().split(",") for line in text.split("\n", _LOOKED_AT)[:_LOOKED_AT]]
    filled = [(n, row) for n, row in enumerate(rows, start=1) if row != [""]]
    if not filled:
        return None
    line, cells = filled[0]
    sums = file.kind is Kind.KLINES
    at = columns_of(file.kind, cells)
    if at or (len(cells) > 1 and all(map(_WORD.fullmatch, cells))):
        missing = sorted(_NEEDED[file.kind] - at.keys())
        if missing:
            why = f"its header lacks {', '.join(missing)}, which {file.kind} have"
            raise FileError(file.path, why, line=line, value=",".join(cells))
        below = Counter(len(row) for _, row in filled[1:]).most_common(1)
        # Rows may go on behind the last name: others gave seven cells six names.
        width = max(len(cells), below[0][0] if below else 0)
        sample = next((row for _, row in filled[1:] if len(row) == width), [])
        return Layout(width, at, line, _zoned(file.kind, at, sample), sums, str(width))
    known = _BY_WIDTH[file.kind]
    widths = Counter(len(row) for _, row in filled if len(row) in known)
    if not widths:
        why = f"no line has the {_EXPECTED[file.kind]} columns of {file.kind}"
        raise FileError(file.path, why, line=line, value=",".join(cells))
    width = widths.most_common(1)[0][0]
    at = {name: position for position, name in enumerate(known[width]) if name}
    sample = next(row for _, row in filled if len(row) == width)
    return Layout(width, at, 0, _zoned(file.kind, at, sample), sums, _EXPECTED[file.kind])


def _zoned(kind: Kind, at: dict[str, int], cells: list[str]) -> bool | None:
    if kind is not Kind.KLINES or len(cells) <= at["open_time"]:
        return None
    text = cells[at["open_time"]].strip()
    if "-" not in text[1:]:
        return None
    return text.endswith("Z") or "+" in text or text.count("-") > 2
