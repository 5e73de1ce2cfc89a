"""One line of a file, cell by cell: the patient way, for the few blocks that need it.

What a block's other rows are worth does not depend on its bad ones, so both ways accept the same:
a line that passes here is written plainly, and is then read like all others.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from connectors.archive.layout import CELLS, Cell, Layout
from core.market import decimals
from core.market.errors import DecimalError

TRUE = ["true", "True", "TRUE", "1"]
FALSE = ["false", "False", "FALSE", "0"]
SUM_PLACES = 2 * decimals.MAX_PLACES
"""Decimal places that a sum may have."""

_SUM_WHOLE = 20
_LONGEST = 60
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"\+?(\d+\.?\d*|\.\d+)", re.ASCII)
_EXPONENT = re.compile(r"(\+?(?:\d+\.?\d*|\.\d+))[eE]([-+]?\d{1,2})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain_row(layout: Layout, text: str) -> str:
    """Return our columns of a line, written plainly, or raise `ValueError`."""
    cells = text.split(",")
    if len(cells) != layout.width:
        raise ValueError(f"{len(cells)} columns, expected {layout.expected}")
    return ",".join(
        _cell(name, cells[position].strip(), layout) for name, position in layout.at.items()
    )


def _cell(name: str, text: str, layout: Layout) -> str:
    kind = CELLS[name]
    if kind is Cell.DECIMAL and not layout.sums:
        return decimals.to_text(*decimals.parse(_digits(text)))
    if kind is Cell.DECIMAL or kind is Cell.SUM:
        return _sum(text)
    if kind is Cell.TIME and layout.zoned is not None:
        return iso_us(text)
    if kind is Cell.FLAG:
        if text not in TRUE and text not in FALSE:
            raise ValueError(f"{_FLAGS.get(name, name)} is `{text[:_LONGEST]}`")
    elif not _WHOLE.fullmatch(text):
        raise ValueError(f"`{text[:_LONGEST]}` is no {_MEANINGS[name]}")
    return text


_FLAGS = {"maker": "is_buyer_maker"}
_MEANINGS = {
    **dict.fromkeys(("id", "first", "last", "time"), "id or time"),
    **dict.fromkeys(("open_time", "close_time"), "time"),
    "trades": "number of trades",
}


def _digits(text: str) -> str:
    # Others print small numbers as 1e-05.
    match = _EXPONENT.fullmatch(text)
    if match is not None:
        text = format(Decimal(match[1]).scaleb(int(match[2])), "f")
    match = _DECIMAL.fullmatch(text)
    if match is None:
        why = "expected digits, optionally a point and more digits"
        raise DecimalError(text[:_LONGEST], why)
    return "0" + match[1] if match[1].startswith(".") else match[1]


def _sum(text: str) -> str:
    whole, _, fraction = _digits(text).partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    if len(whole) > _SUM_WHOLE or len(fraction) > SUM_PLACES:
        why = f"expected up to {_SUM_WHOLE} digits, and {SUM_PLACES} behind the point"
        raise DecimalError(text[:_LONGEST], why)
    return f"{whole}.{fraction or 0}"


def iso_us(text: str) -> str:
    """Return an ISO time, of UTC where it names no zone, as microseconds since the epoch."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text[:_LONGEST]}` is no time") from None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return str((aware - _EPOCH) // timedelta(microseconds=1))
