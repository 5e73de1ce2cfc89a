"""JSON lists of klines → lines of cells, so that one reader does for csv and JSON.

Read are a list of lists (Binance's REST answer, or ``[ms, open, high, low, close, volume]``), a
list of objects with named fields, and an object that holds one of these. Numbers keep the text
they were written with: a float would not be that number.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from connectors.archive.opening import BROKEN, Block, open_bytes
from core.market.errors import FileError

_BLOCK_ROWS = 1 << 15


def json_blocks(path: Path) -> Iterator[Block]:
    """Yield the rows of a file as lines of cells; a line's number is that of its row, from 1.

    Where rows are objects, the first line is a header and rows count from 2.

    Raises:
        FileError: It cannot be unpacked, or is no JSON list of rows.

    """
    rows = _rows(path)
    for start in range(0, len(rows), _BLOCK_ROWS):
        part = rows[start : start + _BLOCK_ROWS]
        yield Block(("\n".join(part) + "\n").encode("utf-8", "replace"), start + 1, len(part))


def _rows(path: Path) -> list[str]:
    try:
        with open_bytes(path) as stream:
            found = json.load(stream, parse_float=str, parse_int=str, parse_constant=str)
    except (*BROKEN, ValueError, RecursionError) as error:
        raise FileError(path, f"is no JSON ({error})") from None
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), None)
    if not isinstance(found, list):
        raise FileError(path, "expected a list of klines")
    names = list(found[0]) if found and isinstance(found[0], dict) else None
    return ([",".join(map(_text, names))] if names else []) + [_line(row, names) for row in found]


def _line(row: object, names: list[str] | None) -> str:
    if isinstance(row, dict) and names:
        return ",".join(_text(row.get(name, "")) for name in names)
    if isinstance(row, list):
        return ",".join(map(_text, row))
    return _text(row) or "null"


def _text(cell: object) -> str:
    # A cell that holds a comma or a line's end is no number; it must not become two cells.
    return " ".join(str(cell).replace(",", ";").split())
