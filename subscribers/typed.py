"""Entries as typed values: exact decimals, integers, times; never a float where there was a price.

entry.record ─► TradeRecord | KlineRecord | SignalRecord | EventRecord
                or core's own Fill, Equity, FeatureRow, Prediction, ModelScore, Quarantined
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import orjson

from connectors.redis.codec import Entry
from core.market.errors import WireError
from core.market.events import Event, Quarantined
from core.market.intervals import interval
from core.market.kline import MEASURES, Status
from core.market.ml import FeatureRow, ModelScore, Prediction
from core.market.paper import Equity, Fill
from core.market.records import Fields, equity_of, fill_of
from core.market.signal import Side

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COMMON = {"key", "time_us", "seq"}

# By name: a dataclass with slots leaves the class it was made from behind.
EVENTS: dict[str, type[Event]] = {
    kind.kind: kind for kind in Event.__subclasses__() if kind.kind != Quarantined.kind
}
"""The class of each kind of event."""

_NUMBERS = {
    kind: {f.name for f in fields(of) if f.type is int and f.name not in _COMMON}
    for kind, of in EVENTS.items()
}


@dataclass(frozen=True, slots=True)
class TradeRecord:
    """A trade; `first_id` and `last_id` only where the exchange gave an aggregate."""

    key: str
    id: int
    time_us: int
    price: Decimal
    quantity: Decimal
    taker: Literal["buy", "sell"]
    first_id: int | None = None
    last_id: int | None = None

    @property
    def seq(self) -> int:
        """The id: a trade's data position."""
        return self.id


@dataclass(frozen=True, slots=True)
class KlineRecord:
    """A kline, final or forming; names and meaning are those of `core.market.kline.Kline`."""

    key: str
    interval: str
    open_us: int
    close_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    trades: int
    first_id: int
    last_id: int
    status: Status
    complete: bool
    revision: int
    seq: int


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """A signal; `values` are the indicator values behind it."""

    key: str
    interval: str
    strategy: str
    instance: str
    side: Side
    open_us: int
    close_us: int
    price: Decimal
    reason: str
    values: dict[str, float | None]
    seq: int

    @property
    def time_us(self) -> int:
        """The end of the kline that caused it."""
        return self.close_us


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event; `detail` has the fields of its own class, numbers as integers."""

    key: str
    kind: str
    lane: str
    time_us: int
    detail: dict[str, str | int]
    seq: int


Typed: TypeAlias = (
    TradeRecord | KlineRecord | SignalRecord | EventRecord | Fill | Equity | FeatureRow
    | Prediction | ModelScore | Quarantined
)  # fmt: skip


def typed(entry: Entry) -> Typed:
    """Return an entry's record.

    Raises:
        WireError: It lacks a field, or a field is not what it should be.

    """
    make = _MAKERS.get(entry.stream.kind)
    if make is None:
        raise WireError(f"there is no record of kind `{entry.stream.kind}`", entry.stream.key)
    try:
        return make(entry.stream.key, entry.fields)
    except KeyError as error:
        raise WireError(f"entry {entry.id} lacks the field {error}", str(entry.fields)) from None
    except (ArithmeticError, TypeError, ValueError) as error:
        raise WireError(f"entry {entry.id}: {error}", str(entry.fields)) from None


def event_of(key: str, row: Fields) -> EventRecord:
    """Return an event from its fields."""
    kind = row["kind"]
    numbers = _NUMBERS.get(kind, set())
    own = {name: text for name, text in row.items() if name not in {"kind", "time_us", "seq"}}
    detail = {name: int(text) if name in numbers else text for name, text in own.items()}
    return EventRecord(key, kind, lane_of(kind), int(row["time_us"]), detail, int(row["seq"]))


def lane_of(kind: str) -> str:
    """Return which part of a flow numbers events of a kind; empty: the source."""
    return EVENTS[kind].lane if kind in EVENTS else ""


def at(time_us: int) -> datetime:
    """Return microseconds since the epoch as a UTC time, to the last digit."""
    return _EPOCH + timedelta(microseconds=time_us)


def end_us(close_ms: str) -> int:
    """Return the last microsecond of a window from its last millisecond."""
    return int(close_ms) * 1000 + 999


def _trade(key: str, row: Fields) -> TradeRecord:
    first, last = row.get("first_id"), row.get("last_id")
    return TradeRecord(
        key,
        int(row["id"]),
        int(row["time_us"]),
        Decimal(row["price"]),
        Decimal(row["quantity"]),
        "buy" if row["taker"] == "buy" else "sell",
        None if first is None else int(first),
        None if last is None else int(last),
    )


def _kline(key: str, row: Fields) -> KlineRecord:
    amounts: dict[Any, Decimal] = {name: Decimal(row[name]) for name in MEASURES}
    return KlineRecord(
        key=key,
        interval=row["interval"],
        open_us=int(row["open_ms"]) * 1000,
        close_us=end_us(row["close_ms"]),
        **amounts,
        trades=int(row["trades"]),
        first_id=int(row["first_id"]),
        last_id=int(row["last_id"]),
        status=Status(row["status"]),
        complete=row["complete"] == "1",
        revision=int(row["revision"]),
        seq=int(row["seq"]),
    )


def _signal(key: str, row: Fields) -> SignalRecord:
    return SignalRecord(
        key,
        row["interval"],
        row["strategy"],
        row["instance"],
        Side(row["side"]),
        int(row["open_ms"]) * 1000,
        end_us(row["close_ms"]),
        Decimal(row["price"]),
        row["reason"],
        orjson.loads(row["values"]),
        int(row["seq"]),
    )


def _quarantined(key: str, row: Fields) -> Quarantined:
    where = int(row["time_us"]), int(row["seq"])
    return Quarantined(key, *where, row["reason"], row["source"], row["payload"])


def _feature(key: str, row: Fields) -> FeatureRow:
    names = row["features"], row["definition"]
    values = tuple(orjson.loads(row["values"]))
    window = _window(row)
    return FeatureRow(
        key, interval(row["interval"]), *names, *window, row["close"], values, int(row["seq"])
    )


def _prediction(key: str, row: Fields) -> Prediction:
    open_us, close_us = _window(row)
    return Prediction(
        key,
        interval(row["interval"]),
        row["model"],
        row["version"],
        row["definition"],
        open_us,
        close_us,
        _number(row["value"]),
        row["reason"],
        row["shadow"] == "1",
        int(row["seq"]),
    )


def _score(key: str, row: Fields) -> ModelScore:
    open_us, close_us = _window(row)
    return ModelScore(
        key,
        interval(row["interval"]),
        row["model"],
        row["version"],
        row["shadow"] == "1",
        open_us,
        close_us,
        int(row["rows"]),
        _number(row["accuracy"]),
        _number(row["baseline"]),
        _number(row["error"]),
        _number(row["ic"]),
        tuple(orjson.loads(row["psi"]).items()),
        int(row["seq"]),
    )


def _window(row: Fields) -> tuple[int, int]:
    return int(row["open_ms"]) * 1000, end_us(row["close_ms"])


def _number(text: str) -> float | None:
    return float(text) if text else None


_MAKERS: dict[str, Callable[[str, Fields], Typed]] = {
    "trade": _trade,
    "kline": _kline,
    "forming": _kline,
    "signal": _signal,
    "event": event_of,
    "quarantine": _quarantined,
    "fill": fill_of,
    "equity": equity_of,
    "feature": _feature,
    "prediction": _prediction,
    "score": _score,
}
