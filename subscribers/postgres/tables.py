"""Records as rows of tables: which table, which columns, and an entry's values for them.

Amounts pass as the text they were published as: PostgreSQL's `numeric` takes it exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson
import pyarrow as pa

from connectors.parquet.layout import Kind
from connectors.parquet.tables import SHAPES
from core.market import schemas
from core.market.errors import WireError
from core.market.kline import MEASURES
from core.market.records import Fields
from subscribers.entries import Delivery
from subscribers.typed import at, end_us, event_of

Row: TypeAlias = tuple[Any, ...]
Values: TypeAlias = dict[str, Any]

_NUL = "\x00"
_NO_NUL = "\ufffd"  # PostgreSQL holds no NUL in a text


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name is that of the lake's kind.

    Attributes:
        kind: The kind of stream.
        lake: The lake's kind.
        columns: All of them, in the order of rows.
        exact: Those that are decimals.
        values: Makes the columns but `key` of an entry's fields.

    """

    kind: str
    lake: Kind
    columns: tuple[str, ...]
    exact: frozenset[str]
    values: Callable[[Fields], Values]

    @property
    def name(self) -> str:
        """Its name."""
        return self.lake.value

    def row(self, delivery: Delivery) -> Row:
        """Return an entry as a row.

        Raises:
            WireError: It lacks a field, or a field cannot be what it should be.

        """
        try:
            values = self.values(delivery.fields)
        except KeyError as error:
            raise WireError(f"it lacks the field {error}", str(delivery.fields)) from None
        except (ArithmeticError, TypeError, ValueError) as error:
            raise WireError(str(error), str(delivery.fields)) from None
        values["key"] = delivery.key
        return tuple(clean(values.get(name)) for name in self.columns)


def clean(value: object) -> object:
    """Return a value without the NULs that PostgreSQL cannot hold in a text."""
    return value.replace(_NUL, _NO_NUL) if isinstance(value, str) and _NUL in value else value


def clean_json(text: str) -> str:
    """Return a JSON document without the characters that `jsonb` cannot hold."""
    if "\\u0000" not in text:
        return text
    return orjson.dumps(_without_nul(orjson.loads(text))).decode()


def _without_nul(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {clean(name): _without_nul(one) for name, one in value.items()}
    return [_without_nul(one) for one in value] if isinstance(value, list) else clean(value)


def _trade(row: Fields) -> Values:
    return {
        "id": int(row["id"]),
        "time": at(int(row["time_us"])),
        "price": row["price"],
        "quantity": row["quantity"],
        "buyer_is_maker": row["taker"] == "sell",
        "first_id": row.get("first_id"),
        "last_id": row.get("last_id"),
    }


def _kline(row: Fields) -> Values:
    values: Values = {name: row[name] for name in MEASURES}
    return values | {
        "seq": int(row["seq"]),
        "interval": row["interval"],
        "open_time": at(int(row["open_ms"]) * 1000),
        "close_time": at(end_us(row["close_ms"])),
        "trades": row["trades"],
        "first_id": row["first_id"],
        "last_id": row["last_id"],
        "complete": row["complete"] == "1",
        "revision": row["revision"],
    }


def _signal(row: Fields) -> Values:
    names = ("interval", "strategy", "instance", "side", "price", "reason")
    return (
        _closed(row) | {name: row[name] for name in names} | {"values": clean_json(row["values"])}
    )


def _timed(row: Fields) -> Values:
    own = {name: text for name, text in row.items() if name not in {"seq", "time_us"}}
    return own | {"seq": int(row["seq"]), "time": at(int(row["time_us"]))}


def _event(row: Fields) -> Values:
    record = event_of("", row)
    return {
        "lane": record.lane,
        "seq": record.seq,
        "time": at(record.time_us),
        "kind": record.kind,
        "detail": orjson.dumps(_without_nul(record.detail)).decode(),
    }


def _feature(row: Fields) -> Values:
    names = ("interval", "features", "definition", "close")
    values: list[float] = orjson.loads(row["values"])
    return _window(row) | {name: row[name] for name in names} | {"values": array(values)}


def _prediction(row: Fields) -> Values:
    names = ("interval", "model", "version", "definition", "reason")
    own: Values = {name: row[name] for name in names}
    return _window(row) | own | {"shadow": row["shadow"] == "1", "value": row["value"] or None}


def _score(row: Fields) -> Values:
    own: Values = {name: row[name] for name in ("interval", "model", "version", "rows")}
    own |= {name: row[name] or None for name in ("accuracy", "baseline", "error", "ic")}
    psi = clean_json(row["psi"])
    return _window(row) | own | {"shadow": row["shadow"] == "1", "psi": psi}


def _closed(row: Fields) -> Values:
    return {"seq": int(row["seq"]), "time": at(end_us(row["close_ms"]))}


def _window(row: Fields) -> Values:
    return _closed(row) | {"open_time": at(int(row["open_ms"]) * 1000)}


def array(values: list[float]) -> str:
    """Return numbers as an array of PostgreSQL's.

    >>> array([0.1, 2.0])
    '{0.1,2.0}'
    """
    return "{" + ",".join(map(repr, values)) + "}"


def _table(kind: str, lake: Kind, values: Callable[[Fields], Values]) -> Table:
    schema = schemas.trades(0, 0, aggregate=True) if lake is Kind.TRADES else SHAPES[lake].schema
    exact = frozenset(f.name for f in schema if pa.types.is_decimal(f.type))
    first = ("key", "lane") if lake is Kind.EVENTS else ("key",)
    return Table(kind, lake, (*first, *schema.names), exact, values)


TABLES: dict[str, Table] = {
    table.kind: table
    for table in (
        _table("trade", Kind.TRADES, _trade),
        _table("kline", Kind.KLINES, _kline),
        _table("signal", Kind.SIGNALS, _signal),
        _table("fill", Kind.FILLS, _timed),
        _table("equity", Kind.EQUITY, _timed),
        _table("event", Kind.EVENTS, _event),
        _table("quarantine", Kind.QUARANTINE, _timed),
        _table("feature", Kind.FEATURES, _feature),
        _table("prediction", Kind.PREDICTIONS, _prediction),
        _table("score", Kind.SCORES, _score),
    )
}
"""By kind of stream."""
