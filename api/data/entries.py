"""Entries of streams as tables like those of the lake: text in, the lake's own types out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import orjson
import pyarrow as pa

from api.data.columns import narrow, sums, times
from connectors.parquet.tables import Table
from core.market import schemas
from core.market.events import Event
from core.market.records import Fields

Entries: TypeAlias = Sequence[tuple[str, Fields]]
"""(key, fields) of entries of streams."""

KEY = pa.field("key", pa.string(), nullable=False, metadata={"about": "exchange:symbol"})


def last_us(ms: str) -> int:
    """Return the last microsecond of a window that ends at that millisecond."""
    return int(ms) * 1000 + 999  # windows end in microseconds, entries tell milliseconds


def _column(entries: Entries, name: str) -> list[str]:
    return [row[name] for _, row in entries]


def _numbers(entries: Entries, name: str) -> list[int]:
    return [int(row[name]) for _, row in entries]


def trades(entries: Entries) -> Table:
    """Return trades; the stream does not say which were repaired."""
    found: dict[str, Any] = {
        "id": _numbers(entries, "id"),
        "time": times(_numbers(entries, "time_us")),
        "price": narrow(_column(entries, "price")),
        "quantity": narrow(_column(entries, "quantity")),
        "buyer_is_maker": [row["taker"] == "sell" for _, row in entries],
        "repaired": pa.nulls(len(entries), pa.bool_()),  # the stream does not say
    }
    if entries and "first_id" in entries[0][1]:
        found |= {name: _numbers(entries, name) for name in ("first_id", "last_id")}
    found["key"] = [key for key, _ in entries]
    return pa.table(found)


def made(schema: pa.Schema, special: dict[str, Callable[[Entries], Any]]) -> "_Maker":
    """Return what makes tables of a kind; `special` are columns that are not just their text."""
    return _Maker(pa.schema([*schema, KEY]), special)


@dataclass(frozen=True, slots=True)
class _Maker:
    schema: pa.Schema
    special: dict[str, Callable[[Entries], Any]]

    def __call__(self, entries: Entries) -> Table:
        arrays = [self._array(field, entries) for field in self.schema]
        return pa.table(arrays, schema=self.schema)

    def _array(self, field: pa.Field, entries: Entries) -> pa.Array:
        if field.name in self.special:
            found = self.special[field.name](entries)
            return found if isinstance(found, pa.Array) else pa.array(found, field.type)
        if field.name == "key":
            return pa.array([key for key, _ in entries], pa.string())
        if field.type == schemas.SUM:
            return sums(_column(entries, field.name))
        if pa.types.is_integer(field.type):
            return pa.array(_numbers(entries, field.name), field.type)
        if pa.types.is_boolean(field.type):
            return pa.array([row[field.name] == "1" for _, row in entries])
        return pa.array(_column(entries, field.name), field.type)


def opens(entries: Entries) -> pa.Array:
    """Return the starts of klines."""
    return times([int(ms) * 1000 for ms in _column(entries, "open_ms")])


def closes(entries: Entries) -> pa.Array:
    """Return the last microseconds of klines."""
    return times([last_us(ms) for ms in _column(entries, "close_ms")])


def ats(entries: Entries) -> pa.Array:
    """Return the times of records."""
    return times(_numbers(entries, "time_us"))


def vectors(entries: Entries) -> list[list[float]]:
    """Return lists of numbers."""
    return [orjson.loads(text) for text in _column(entries, "values")]


def guesses(entries: Entries) -> list[float | None]:
    """Return numbers that may be unknown."""
    return [float(text) if text else None for text in _column(entries, "value")]


def drawdowns(entries: Entries) -> pa.Array:
    """Return drawdowns."""
    return sums(row.get("drawdown", "0") for _, row in entries)


_WHOLE = {
    (cls.kind, field.name): field.type in (int, "int")
    for cls in Event.__subclasses__()
    for field in fields(cls)
}


def details(entries: Entries) -> list[str]:
    """Return the own fields of events as JSON, whole numbers as such."""
    return [orjson.dumps(_detail(row)).decode() for _, row in entries]


def _detail(row: Fields) -> dict[str, Any]:
    kind = row["kind"]
    own = {name: text for name, text in row.items() if name not in {"kind", "time_us", "seq"}}
    return {
        name: int(text) if _WHOLE.get((kind, name)) and _is_whole(text) else text
        for name, text in own.items()
    }


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
