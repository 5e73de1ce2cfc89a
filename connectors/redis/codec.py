"""Records as rows of streams, and entries of streams as records of text.

Which stream, which number, which time, which fields: everything a row is made of is text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import orjson

from connectors.redis.keys import StreamName, parse_key
from core.market.decimals import to_text
from core.market.events import Event, Quarantined
from core.market.kline import Kline, Status
from core.market.ml import FeatureRow, Learned, ModelScore, Prediction
from core.market.paper import Equity, Fill
from core.market.records import (
    Fields,
    equity_fields,
    event_fields,
    feature_fields,
    fill_fields,
    kline_fields,
    prediction_fields,
    quarantine_fields,
    score_fields,
    signal_fields,
)
from core.market.signal import Signal
from core.market.trades import Trades

Record: TypeAlias = Trades | Kline | Signal | Fill | Equity | Event | Learned

Row: TypeAlias = str
"""JSON as the server-side function takes it: ``[seq, ms, [name, value, ...]]``, all text.

A fourth text is the lane within which `seq` rises, where a stream has several.

One string and not a tree of them: up to a million rows may wait.
"""


class Target(NamedTuple):
    """The stream of an instrument that a row goes to."""

    kind: str
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream."""

    stream: StreamName
    id: str
    fields: Fields

    @property
    def order(self) -> tuple[int, int]:
        """(milliseconds, number): what entries of several streams are sorted by."""
        ms, _, seq = self.id.partition("-")
        return int(ms), int(seq)

    def as_dict(self) -> dict[str, str | Fields]:
        """Return ``key stream interval entry fields``, for JSON."""
        return {
            "key": self.stream.key,
            "stream": self.stream.kind,
            "interval": self.stream.interval,
            "entry": self.id,
            "fields": self.fields,
        }


def rows_of(record: Record) -> tuple[Target, list[Row]]:
    """Return a record's stream and its rows.

    >>> from core.market.events import Gap
    >>> rows_of(Gap("binance:BTCUSDT", 1_500_000, 7, 3, 4, "gone"))[1][0][:13]
    '["7","1500",['
    """
    if isinstance(record, Trades):
        return Target("trade"), _trade_rows(record)
    if isinstance(record, Kline):
        return _kline_row(record)
    if isinstance(record, Signal):
        return Target("signal"), [_row(record.seq, record.close_us, signal_fields(record))]
    if isinstance(record, Fill):
        return Target("fill"), [_row(record.seq, record.time_us, fill_fields(record))]
    if isinstance(record, Equity):
        return Target("equity"), [_row(record.seq, record.time_us, equity_fields(record))]
    if isinstance(record, FeatureRow | Prediction | ModelScore):
        return _learned_row(record)
    # What came from outside may hold halves of characters, which no UTF-8 can say.
    if isinstance(record, Quarantined):
        fields = _whole(quarantine_fields(record))
        return Target("quarantine"), [_row(record.seq, record.time_us, fields)]
    fields = _whole(event_fields(record))
    return Target("event"), [_row(record.seq, record.time_us, fields, record.lane)]


def entry_of(name: str, entry_id: str, fields: Mapping[str, str]) -> Entry:
    """Return an entry as the client read it; a stream that is not ours has only a key."""
    return Entry(parse_key(name) or StreamName(name, ""), entry_id, dict(fields))


def _trade_rows(trades: Trades) -> list[Row]:
    ps, qs = trades.price_scale, trades.quantity_scale
    if trades.is_aggregate:
        ids = zip(trades.first_ids.tolist(), trades.last_ids.tolist(), strict=True)
        more = [f',"first_id","{first}","last_id","{last}"' for first, last in ids]
    else:
        more = [""] * len(trades)
    # The fields of `trade_fields`, written at once: this is the most frequent record by far.
    return [
        f'["{i}","{t // 1000 if t > 0 else 0}",["id","{i}","time_us","{t}",'
        f'"price","{to_text(p, ps)}","quantity","{to_text(q, qs)}",'
        f'"taker","{"sell" if m else "buy"}"{rest}]]'
        for i, t, p, q, m, rest in zip(
            trades.id.tolist(),
            trades.time_us.tolist(),
            trades.price.tolist(),
            trades.quantity.tolist(),
            trades.buyer_is_maker.tolist(),
            more,
            strict=True,
        )
    ]


def _kline_row(kline: Kline) -> tuple[Target, list[Row]]:
    fields, name = kline_fields(kline), kline.interval.name
    if kline.status is Status.FINAL:
        return Target("kline", name), [_row(kline.seq, kline.close_us, fields)]
    # A forming kline closes in the future; ids are times that have been.
    return Target("forming", name), [_row(kline.seq, kline.open_us, fields)]


def _learned_row(record: Learned) -> tuple[Target, list[Row]]:
    if isinstance(record, FeatureRow):
        target, fields = Target("feature"), feature_fields(record)
    elif isinstance(record, Prediction):
        target, fields = Target("prediction"), prediction_fields(record)
    else:
        target, fields = Target("score"), score_fields(record)
    return target, [_row(record.seq, record.close_us, _whole(fields))]


def _row(seq: int, time_us: int, fields: Fields, lane: str = "") -> Row:
    flat = [text for pair in fields.items() for text in pair]
    row = [str(seq), str(max(0, time_us // 1000)), flat]
    return orjson.dumps([*row, lane] if lane else row).decode()


def _whole(fields: Fields) -> Fields:
    return {name: text.encode("utf-8", "replace").decode() for name, text in fields.items()}
