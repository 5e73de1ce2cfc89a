"""Kinds of records as the API shows them: what orders them, what names one, which fields it has.

A shape turns what Redis holds into a table like those of the lake, and a table into JSON. So a row
looks the same wherever it came from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson
import pyarrow as pa

from api.data.columns import isos, values
from api.data.entries import (
    Entries,
    ats,
    closes,
    details,
    drawdowns,
    guesses,
    last_us,
    made,
    opens,
    trades,
    vectors,
)
from connectors.parquet.layout import Kind
from connectors.parquet.tables import Table
from core.market import schemas
from core.market.records import Fields

Item: TypeAlias = dict[str, Any]


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
    return last_us(entry["close_ms"])


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

TRADES = Shape(Kind.TRADES, "trade", ("id",), trades, _trade_items)
KLINES = Shape(
    Kind.KLINES,
    "kline",
    ("open_time", "revision"),
    made(schemas.KLINES, {"open_time": opens, "close_time": closes}),
    _kline_items,
    time="open_time",
    is_prompt=True,
)
SIGNALS = Shape(
    Kind.SIGNALS,
    "signal",
    _ORDER,
    made(schemas.SIGNALS, {"time": closes}),
    _items_of("interval", "strategy", "instance", "side", "price", "reason", json="values"),
    ("instance", "interval", "strategy"),
    is_prompt=True,
)
EVENTS = Shape(
    Kind.EVENTS,
    "event",
    (*_ORDER, "kind"),  # parts of a flow number theirs apart, and a kind is of one part
    made(schemas.EVENTS, {"time": ats, "detail": details}),
    _items_of("kind", json="detail"),
    ("kind",),
)
FILLS = Shape(
    Kind.FILLS,
    "fill",
    _ORDER,
    made(schemas.FILLS, {"time": ats}),
    _items_of(*_own(schemas.FILLS)),
    ("instance", "interval", "strategy"),
)
EQUITY = Shape(
    Kind.EQUITY,
    "equity",
    _ORDER,
    made(schemas.EQUITY, {"time": ats, "drawdown": drawdowns}),
    _items_of(*_own(schemas.EQUITY)),
    ("instance", "interval", "strategy"),
)
FEATURES = Shape(
    Kind.FEATURES,
    "feature",
    _ORDER,
    made(schemas.FEATURES, {"time": closes, "open_time": opens, "values": vectors}),
    _items_of(*_own(schemas.FEATURES)),
    ("features", "interval"),
    is_prompt=True,
)
PREDICTIONS = Shape(
    Kind.PREDICTIONS,
    "prediction",
    _ORDER,
    made(schemas.PREDICTIONS, {"time": closes, "open_time": opens, "value": guesses}),
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
