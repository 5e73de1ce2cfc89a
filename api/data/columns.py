"""Columns of tables as plain values and back: exact decimals as text, times as microseconds."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from connectors.parquet.decimals import from_sums
from connectors.parquet.tables import Table
from core.ledger.certificate import time_text
from core.market.decimals import to_text
from core.market.schemas import SUM, TIME

WIDE = 38
"""Digits of a decimal that is too wide for the lake's own trades."""


def values(table: Table, name: str) -> list[Any]:
    """Return a column as JSON has it: decimals are text, times microseconds since the epoch."""
    column = table.column(name)
    if pa.types.is_decimal(column.type):
        scale = column.type.scale
        return [to_text(units, scale) for units in _units(column)]
    if pa.types.is_timestamp(column.type):
        return list(column.cast(pa.int64()).to_pylist())
    return list(column.to_pylist())


def floats(table: Table, name: str) -> list[float]:
    """Return a column of numbers, each rounded once."""
    column = table.column(name)
    if pa.types.is_decimal(column.type):
        one = 10**column.type.scale
        return [units / one for units in _units(column)]
    return [float(x) for x in values(table, name)]


def decimals(table: Table, name: str) -> list[Decimal]:
    """Return a column of exact decimals."""
    return [Decimal(text) for text in values(table, name)]


def isos(times_us: Iterable[int]) -> list[str]:
    """Return times as ISO texts, UTC."""
    return [time_text(time_us) for time_us in times_us]


def times(times_us: Sequence[int]) -> pa.Array:
    """Return microseconds as a column of times."""
    return pa.array(times_us, pa.int64()).view(TIME)


def sums(texts: Iterable[str]) -> pa.Array:
    """Return decimal texts as a column of the lake's widest decimals."""
    return pa.array([Decimal(text) for text in texts], SUM)


def narrow(texts: Sequence[str]) -> pa.Array:
    """Return decimal texts as a column at the scale that they need."""
    scale = max((len(text.partition(".")[2]) for text in texts), default=0)
    return pa.array([Decimal(text) for text in texts], pa.decimal128(WIDE, scale))


def _units(column: pa.ChunkedArray) -> list[int]:
    return [units for chunk in column.chunks for units in from_sums(chunk)]
