"""Records as rows of streams: which stream, which id, which fields."""

from typing import NamedTuple, TypeAlias

from core.market.events import Event, Quarantined
from core.market.kline import Kline, Status
from core.market.records import (
    Fields,
    event_fields,
    kline_fields,
    quarantine_fields,
    signal_fields,
    trade_fields,
)
from core.market.signal import Signal
from core.market.trades import Trades

Record: TypeAlias = Trades | Kline | Signal | Event

Row: TypeAlias = tuple[str, str, list[str]]
"""(seq, ms, [name, value, ...]); all text, as the server-side function takes it."""


class Target(NamedTuple):
    """Where a row goes."""

    kind: str
    interval: str = ""


def rows_of(record: Record) -> tuple[Target, list[Row]]:
    """Return a record's stream and its rows."""
    if isinstance(record, Trades):
        fields = trade_fields(record)
        return Target("trade"), [(f["id"], f["time_us"][:-3] or "0", flat(f)) for f in fields]
    if isinstance(record, Kline):
        kind = "kline" if record.status is Status.FINAL else "forming"
        row = _row(record.seq, record.close_us, kline_fields(record))
        return Target(kind, record.interval.name), [row]
    if isinstance(record, Signal):
        return Target("signal"), [_row(record.seq, record.close_us, signal_fields(record))]
    if isinstance(record, Quarantined):
        return Target("quarantine"), [_row(record.seq, record.time_us, quarantine_fields(record))]
    return Target("event"), [_row(record.seq, record.time_us, event_fields(record))]


def flat(fields: Fields) -> list[str]:
    """Return fields as one list, as XADD takes them."""
    return [text for pair in fields.items() for text in pair]


def _row(seq: int, time_us: int, fields: Fields) -> Row:
    return str(seq), str(time_us // 1000), flat(fields)
