"""Entries as typed values are the records that were published."""

from dataclasses import fields
from decimal import Decimal
from typing import Any

import orjson
import pytest

from connectors.redis.codec import Entry, rows_of
from connectors.redis.keys import KINDS, StreamName
from core.market.errors import WireError
from core.market.events import Connected, Event, Gap, InstanceChanged, Late, Quarantined
from core.market.intervals import interval
from core.market.kline import MEASURES, Kline, Status
from core.market.ml import FeatureRow, ModelScore, Prediction
from core.market.paper import Equity, Fill
from core.market.signal import Side, Signal
from subscribers.entries import Delivery
from subscribers.typed import EVENTS, EventRecord, KlineRecord, SignalRecord, typed

KEY = "binance:BTCUSDT"
OPEN_US, CLOSE_US = 1_723_161_600_000_000, 1_723_161_659_999_999
ZERO, ONE, TWO = Decimal(0), Decimal("1.000000001"), Decimal("2.5")
WINDOW = OPEN_US, CLOSE_US
MINUTE = interval("1m")
KLINE = Kline(
    KEY, MINUTE, OPEN_US, CLOSE_US, 2, 5, 6183763, 6184000, 6183000, 6183900, 123456,
    76_341_234_567, 42, 61728, 38_170_617_283, 7, 48, revision=2, complete=False,
    seq=9_007_199_254_740_993,
)  # fmt: skip


def entry(record: Any, kind: str, of: str = "") -> Entry:  # noqa: ANN401 - any record
    _, (row,) = rows_of(record)
    seq, ms, flat, *_ = orjson.loads(row)
    own = dict(zip(flat[::2], flat[1::2], strict=True))
    return Entry(StreamName(record.key, kind, of), f"{ms}-{seq}", own)


def test_a_kline_is_exact() -> None:
    record = typed(entry(KLINE, "kline", "1m"))
    assert isinstance(record, KlineRecord)
    for name in MEASURES:
        assert getattr(record, name) == KLINE.exact(name)
    same = ("open_us", "close_us", "trades", "first_id", "last_id", "complete", "revision", "seq")
    assert all(getattr(record, name) == getattr(KLINE, name) for name in same)
    assert (record.interval, record.status) == ("1m", Status.FINAL)


def test_a_signal_has_its_time_and_values() -> None:
    values = (("rsi", 31.25), ("width", 0.1))
    said = Signal(KEY, MINUTE, "rsi", "one", Side.LONG, OPEN_US, CLOSE_US, "61839", "up", values, 5)
    record = typed(entry(said, "signal"))
    assert isinstance(record, SignalRecord)
    assert (record.side, record.price, record.time_us) == (Side.LONG, Decimal(61839), CLOSE_US)
    assert record.values == dict(values)


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (FeatureRow(KEY, MINUTE, "f", "d", OPEN_US, CLOSE_US, "1.5", (0.1, 2.0), 5), "feature"),
        (Prediction(KEY, MINUTE, "m", "1", "d", *WINDOW, 0.25, "", True, 5), "prediction"),
        (Prediction(KEY, MINUTE, "m", "", "d", *WINDOW, None, "why", seq=5), "prediction"),
        (
            ModelScore(
                KEY, MINUTE, "m", "1", False, OPEN_US, CLOSE_US, 9, 0.5, None, 0.1, None,
                (("a", 0.2),), 5,
            ),
            "score",
        ),
        (Quarantined(KEY, 5, 6, "bad", "link 1", "{"), "quarantine"),
        (
            Fill(
                KEY, 5, 6, "i", "s", "1m", "sell", ONE, TWO, ZERO, -TWO, ONE, ZERO, TWO, 4, "why"
            ),
            "fill",
        ),
        (
            Equity(
                KEY, 5, 6, "*", "", "1m", ONE, TWO, ZERO, -TWO, ONE, ZERO, TWO, TWO, 4
            ),
            "equity",
        ),
    ],
)  # fmt: skip
def test_other_records_come_back_as_they_were(record: Any, kind: str) -> None:  # noqa: ANN401 - any record
    assert typed(entry(record, kind)) == record


@pytest.mark.parametrize(
    "event",
    [
        Connected(KEY, 1, 2, 3),
        Gap(KEY, 1, 2, 3, 4, "17"),
        Late(KEY, 1, 2, 3, 4),
        InstanceChanged(KEY, 1, 2, "c", "i", "running", "5"),
    ],
)
def test_events_keep_the_types_of_their_fields_and_their_lane(event: Event) -> None:
    found = entry(event, "event")
    record = typed(found)
    assert isinstance(record, EventRecord)
    own = {f.name: getattr(event, f.name) for f in fields(event)}
    assert record.detail == {k: v for k, v in own.items() if k not in {"key", "time_us", "seq"}}
    assert (record.kind, record.lane) == (event.kind, event.lane)
    assert Delivery("x", found).unique == (KEY, "event", "", event.lane, 2)


def test_each_kind_of_stream_and_event_is_known() -> None:
    assert len(EVENTS) == 14
    for kind in KINDS:
        with pytest.raises(WireError, match="lacks the field"):
            typed(Entry(StreamName(KEY, kind), "1-1", {}))
    with pytest.raises(WireError, match="no record of kind"):
        typed(Entry(StreamName(KEY, "book"), "1-1", {}))
    bad = entry(KLINE, "kline", "1m")
    bad.fields["open"] = "x"
    with pytest.raises(WireError, match=f"entry {bad.id}"):
        typed(bad)
