"""Scaled integers as Arrow decimals and back, by their buffers: no number is looked at singly.

A decimal128 is 16 bytes, little-endian, two's complement: its low half is the int64, its high half
the sign.
"""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from core.market.decimals import MAX_DIGITS
from core.market.errors import DecimalError
from core.market.schemas import SUM
from core.market.trades import Ints

Array: TypeAlias = pa.Array
"""An Arrow array; pyarrow ships no types."""

_WIDTH = 16
_WIDE_LIMIT: int = 10**SUM.precision


def to_decimals(units: Ints, scale: int) -> Array:
    """Return int64 units as ``decimal128(18, scale)``; the caller bounds them to 18 digits."""
    halves = np.empty((len(units), 2), "<i8")
    halves[:, 0] = units
    np.right_shift(units, 63, out=halves[:, 1])
    kind = pa.decimal128(MAX_DIGITS, scale)
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(halves)])


def to_units(array: Array) -> Ints:
    """Return the units of a ``decimal128`` of at most 18 digits and without nulls."""
    halves = np.frombuffer(array.buffers()[1], "<i8", 2 * len(array), _WIDTH * array.offset)
    units: Ints = np.ascontiguousarray(halves[::2])
    return units


def to_sums(values: Iterable[tuple[int, int]]) -> Array:
    """Return (units, scale) pairs as ``decimal128(38, 18)``.

    Raises:
        DecimalError: A number has more digits than that.

    """
    wide = [_widened(units, scale) for units, scale in values]
    data = b"".join(units.to_bytes(_WIDTH, "little", signed=True) for units in wide)
    return pa.Array.from_buffers(SUM, len(wide), [None, pa.py_buffer(data)])


def from_sums(array: Array) -> list[int]:
    """Return the units, at 18 places, of a ``decimal128(38, 18)`` without nulls."""
    start = _WIDTH * array.offset
    data = memoryview(array.buffers()[1])[start : start + _WIDTH * len(array)]
    return [
        int.from_bytes(data[i : i + _WIDTH], "little", signed=True)
        for i in range(0, len(data), _WIDTH)
    ]


def _widened(units: int, scale: int) -> int:
    # Scales of price and quantity together may pass 18, if the places beyond are zeros.
    wide, lost = divmod(units * int(10**SUM.scale), int(10**scale))
    if lost or abs(wide) >= _WIDE_LIMIT:
        raise DecimalError(f"{units}e-{scale}", "more than 20 digits before the point or 18 after")
    return wide
