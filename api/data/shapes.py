"""Kinds of records as the API shows them: what orders them, what names one, which fields it has.

A shape turns what Redis holds into a table like those of the lake, and a table into JSON. So a row
looks the same wherever it came from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import orjson
import pyarrow as pa

from api.data.columns import isos, narrow, sums, times, values
from connectors.parquet.layout import Kind
from connectors.parquet.tables import Table
from core.market import schemas
from core.market.events import Event
from core.market.records import Fields

Entries: TypeAlias = Sequence[tuple[str, Fields]]
"""(key, fields) of entries of streams."""

Item: TypeAlias = dict[str, Any]

KEY = pa.field("key", pa.string(), nullable=False, metadata={"about": "exchange:symbol"})


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of records.

    Attributes:
        kind: In the lake.
        stream: Kind of its streams in Redis.
        time: Column of the time by which it is asked for.
        order: Columns by which pages are ordered; a row has its own values of these.
        table: Makes a table of entries: the lake's columns and `key`.
        items: Makes JSON of a table.
        filters: Columns by which it can be filtered.
        is_prompt: Rows leave the flow at the end of the kline that they are ordered by.

    """

    kind: Kind
    stream: str
    order: tuple[str, ...]
    table: Callable[[Entries], Table]
    items: Callable[[Table], list[Item]]
    filters: tuple[str, ...] = ()
    time: str = "time"
    is_prompt: bool = False

    @property
    def is_single(self) -> bool:
        """Whether it is asked for by instrument only."""
        return "key" not in self.order


def fixed(shape: Shape) -> pa.Schema | None:
    """Return the lake's schema of a kind; None for trades, whose scales differ."""
    return _SCHEMAS.get(shape.kind)


def time_us_of(shape: Shape, entry: Fields) -> int:
    """Return the time by which an entry of a stream is ordered, microseconds."""
    if "time_us" in entry:
        return int(entry["time_us"])
    if shape.kind is Kind.KLINES:
        return int(entry["open_ms"]) * 1000
    return _last_us(entry["close_ms"])


# ---- what Redis holds ----


def _last_us(ms: str) -> int:
    return int(ms) * 1000 + 999  # windows end in microseconds, entries tell milliseconds


def _column(entries: Entries, name: str) -> list[str]:
    return [row[name] for _, row in entries]


def _numbers(entries: Entries, name: str) -> list[int]:
    return [int(row[name]) for _, row in entries]


def _trades(entries: Entries) -> Table:
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


def _made(schema: pa.Schema, special: dict[str, Callable[[Entries], Any]]) -> "_Maker":
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


def _opens(entries: Entries) -> pa.Array:
    return times([int(ms) * 1000 for ms in _column(entries, "open_ms")])


def _closes(entries: Entries) -> pa.Array:
    return times([_last_us(ms) for ms in _column(entries, "close_ms")])


def _at(entries: Entries) -> pa.Array:
    return times(_numbers(entries, "time_us"))


def _vectors(entries: Entries) -> list[list[float]]:
    return [orjson.loads(text) for text in _column(entries, "values")]


def _guesses(entries: Entries) -> list[float | None]:
    return [float(text) if text else None for text in _column(entries, "value")]


def _drawdowns(entries: Entries) -> pa.Array:
    return sums(row.get("drawdown", "0") for _, row in entries)


_WHOLE = {
    (cls.kind, field.name): field.type in (int, "int")
    for cls in Event.__subclasses__()
    for field in fields(cls)
}


def _details(entries: Entries) -> list[str]:
    return [orjson.dumps(_detail(row)).decode() for _, row in entries]


def _detail(row: Fields) -> Item:
    kind = row["kind"]
    own = {name: text for name, text in row.items() if name not in {"kind", "time_us", "seq"}}
    return {
        name: int(text) if _WHOLE.get((kind, name)) and _is_whole(text) else text
        for name, text in own.items()
    }


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


# ---- what JSON shows ----


def _rows(columns: dict[str, Sequence[Any]]) -> list[Item]:
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _whose(table: Table) -> dict[str, Sequence[Any]]:
    keys = values(table, "key")
    return {"key": keys, "symbol": [key.partition(":")[2] for key in keys]}


def _texts(table: Table, name: str) -> list[str]:
    return [str(value) for value in values(table, name)]


def _trade_items(table: Table) -> list[Item]:
    at = values(table, "time")
    makers = values(table, "buyer_is_maker")
    found: dict[str, Sequence[Any]] = {
        "id": values(table, "id"),
        "time": isos(at),
        "time_us": at,
        "price": values(table, "price"),
        "quantity": values(table, "quantity"),
        "taker": ["sell" if maker else "buy" for maker in makers],
        "repaired": values(table, "repaired"),
    }
    if "first_id" in table.schema.names:
        found |= {name: values(table, name) for name in ("first_id", "last_id")}
    return _rows(found)


_KLINE = (
    "open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume",
    "taker_buy_quote_volume", "first_id", "last_id", "complete",
)  # fmt: skip


def _kline_items(table: Table) -> list[Item]:
    opens = values(table, "open_time")
    status = values(table, "status") if "status" in table.schema.names else None
    return _rows(
        {
            "open_time": isos(opens),
            "open_us": opens,
            "close_us": values(table, "close_time"),
            **{name: values(table, name) for name in _KLINE},
            "status": status or ["final"] * table.num_rows,
            "revision": values(table, "revision"),
            "seq": _texts(table, "seq"),
        }
    )


def _items_of(*names: str, json: str = "") -> Callable[[Table], list[Item]]:
    def items(table: Table) -> list[Item]:
        at = values(table, "time")
        found = {**_whose(table), "time": isos(at), "time_us": at}
        if "open_time" in table.schema.names:
            found["open_us"] = values(table, "open_time")
        found |= {name: values(table, name) for name in names}
        if json:
            found[json] = [orjson.loads(text) for text in values(table, json)]
        if "signal_seq" in found:
            found["signal_seq"] = _texts(table, "signal_seq")
        return _rows(found | {"seq": _texts(table, "seq")})

    return items


def _own(schema: pa.Schema) -> tuple[str, ...]:
    return tuple(name for name in schema.names if name not in {"seq", "time", "open_time"})


_ORDER = ("time", "seq", "key")

TRADES = Shape(Kind.TRADES, "trade", ("id",), _trades, _trade_items)
KLINES = Shape(
    Kind.KLINES,
    "kline",
    ("open_time", "revision"),
    _made(schemas.KLINES, {"open_time": _opens, "close_time": _closes}),
    _kline_items,
    time="open_time",
    is_prompt=True,
)
SIGNALS = Shape(
    Kind.SIGNALS,
    "signal",
    _ORDER,
    _made(schemas.SIGNALS, {"time": _closes}),
    _items_of("interval", "strategy", "instance", "side", "price", "reason", json="values"),
    ("instance", "interval", "strategy"),
    is_prompt=True,
)
EVENTS = Shape(
    Kind.EVENTS,
    "event",
    (*_ORDER, "kind"),  # parts of a flow number theirs apart, and a kind is of one part
    _made(schemas.EVENTS, {"time": _at, "detail": _details}),
    _items_of("kind", json="detail"),
    ("kind",),
)
FILLS = Shape(
    Kind.FILLS,
    "fill",
    _ORDER,
    _made(schemas.FILLS, {"time": _at}),
    _items_of(*_own(schemas.FILLS)),
    ("instance", "interval", "strategy"),
)
EQUITY = Shape(
    Kind.EQUITY,
    "equity",
    _ORDER,
    _made(schemas.EQUITY, {"time": _at, "drawdown": _drawdowns}),
    _items_of(*_own(schemas.EQUITY)),
    ("instance", "interval", "strategy"),
)
FEATURES = Shape(
    Kind.FEATURES,
    "feature",
    _ORDER,
    _made(schemas.FEATURES, {"time": _closes, "open_time": _opens, "values": _vectors}),
    _items_of(*_own(schemas.FEATURES)),
    ("features", "interval"),
    is_prompt=True,
)
PREDICTIONS = Shape(
    Kind.PREDICTIONS,
    "prediction",
    _ORDER,
    _made(schemas.PREDICTIONS, {"time": _closes, "open_time": _opens, "value": _guesses}),
    _items_of(*_own(schemas.PREDICTIONS)),
    ("model", "version", "interval"),
    is_prompt=True,
)

_SCHEMAS = {
    Kind.KLINES: schemas.KLINES,
    Kind.SIGNALS: schemas.SIGNALS,
    Kind.EVENTS: schemas.EVENTS,
    Kind.FILLS: schemas.FILLS,
    Kind.EQUITY: schemas.EQUITY,
    Kind.FEATURES: schemas.FEATURES,
    Kind.PREDICTIONS: schemas.PREDICTIONS,
}
