"""Records as rows and back."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pytest

from connectors.redis.codec import Record, Target, entry_of, rows_of
from connectors.redis.keys import KINDS, StreamName, parse_key, stream_key
from core.market.events import Event, Gap, InstanceChanged, Quarantined
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.market.paper import TOTAL, Equity, Fill
from core.market.records import equity_of, fill_of, trade_fields
from core.market.signal import Side, Signal
from core.market.trades import Trades

KEY = "binance:BTCUSDT"
Some = Callable[..., Trades]


def kline(seq: int, status: Status) -> Kline:
    return Kline(
        KEY, interval("1h"), 1_723_161_600_000_000, 1_723_165_199_999_999, 2, 5,
        6183763, 6183800, 6183700, 6183763, 2000, 12367526000, 1, 0, 0, 7, 7, status, seq=seq,
    )  # fmt: skip


def read(record: Record) -> tuple[Target, list[list[Any]]]:
    target, rows = rows_of(record)
    return target, [orjson.loads(row) for row in rows]


def test_rows_of_trades_have_the_fields_that_trades_have_everywhere(trades: Some) -> None:
    single = trades(5, 9)
    ids = np.array([11, 12, 13, 14, 15])
    aggregate = replace(single, first_id=ids * 10, last_id=ids * 10 + 9)
    for batch in (single, aggregate):
        expected = [[text for pair in row.items() for text in pair] for row in trade_fields(batch)]
        assert [fields for _, _, fields in read(batch)[1]] == expected


def test_trades_are_rows_numbered_by_id(trades: Some) -> None:
    target, rows = read(trades(2**53 + 1, 2**53 + 2))
    assert target == Target("trade")
    assert [(seq, ms[:5]) for seq, ms, _ in rows] == [
        ("9007199254740993", "17231"), ("9007199254740994", "17231"),
    ]  # fmt: skip
    assert rows[0][2][:6:2] == ["id", "time_us", "price"]


def test_a_row_without_a_time_is_at_zero(trades: Some) -> None:
    batch = trades(1, 3)
    batch.time_us[:] = np.array([0, 999, -5])
    assert [ms for _, ms, _ in read(batch)[1]] == ["0", "0", "0"]
    assert read(Gap(KEY, -1, 8, 3, 4, "gone"))[1][0][:2] == ["8", "0"]


def test_a_forming_kline_is_not_in_the_future() -> None:
    target, ((seq, ms, _),) = read(kline(9, Status.FORMING))
    assert (target, seq, ms) == (Target("forming", "1h"), "9", "1723161600000")
    target, ((seq, ms, _),) = read(kline(9, Status.FINAL))
    assert (target, seq, ms) == (Target("kline", "1h"), "9", "1723165199999")


def test_signals_and_events_are_numbered_by_their_position() -> None:
    signal = Signal(KEY, interval("1m"), "rsi", "rsi", Side.LONG, 0, 59_999_999, "1.5", "so",
                    (("rsi", 31.25),), seq=7 << 20)  # fmt: skip
    assert read(signal)[0] == Target("signal")
    assert read(signal)[1][0][:2] == [str(7 << 20), "59999"]
    assert read(Gap(KEY, 1_000_000, 8, 3, 4, "gone"))[0] == Target("event")


def test_fills_and_equity_read_back_to_the_last_digit() -> None:
    wide = Decimal("12345678901234567890.123456789012345678")
    minus = wide.copy_negate()  # a mere minus would round
    fill = Fill(
        KEY, 1_500_000, 9, "a b", "rule", "1m", "sell", Decimal("1E+3"), Decimal("0.50"), wide,
        minus, Decimal(0), Decimal("1E-18"), wide, 8, "why"
    )  # fmt: skip
    target, ((seq, ms, fields),) = read(fill)
    assert (target, seq, ms) == (Target("fill"), "9", "1500")
    row = dict(zip(fields[::2], fields[1::2], strict=True))
    assert (row["price"], row["quantity"]) == ("1000", "0.5")
    assert row["realised"] == "0.000000000000000001"
    assert fill_of(KEY, row) == fill
    equity = Equity(
        KEY, 1_500_000, 9, TOTAL, "", "1m", Decimal(5), wide, minus, wide, minus, wide, wide,
        Decimal(1), 77
    )  # fmt: skip
    target, ((_, _, fields),) = read(equity)
    assert target == Target("equity")
    row = dict(zip(fields[::2], fields[1::2], strict=True))
    assert row["drawdown"] == "12345678901234567889.123456789012345678"
    assert equity_of(KEY, row) == equity


def test_half_a_character_from_outside_stops_nothing() -> None:
    target, ((_, _, fields),) = read(Quarantined(KEY, 1, 1, "not JSON", "link 1", "{\ud800"))
    assert target == Target("quarantine")
    assert fields[fields.index("payload") + 1] == "{?"


def test_an_entry_says_whose_it_is() -> None:
    entry = entry_of(stream_key(KEY, "forming", "1m"), "1000-5", {"open": "1.5"})
    assert (entry.stream, entry.order) == (StreamName(KEY, "forming", "1m"), (1000, 5))
    assert entry.as_dict() == {
        "key": KEY, "stream": "forming", "interval": "1m", "entry": "1000-5",
        "fields": {"open": "1.5"},
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_streams_read_back(kind: str) -> None:
    of = "1M" if kind in {"kline", "forming"} else ""
    assert parse_key(stream_key(KEY, kind, of)) == StreamName(KEY, kind, of)


@pytest.mark.parametrize(
    "name",
    ["", "other", "md:{a:b}:~w", "md:~keys", "md:{a:b}:nonsense", "md:a:trade", "md:{a:b}:kline",
     "md:{a:b}:kline:1m:junk", "md:{a:b}:kline:1m:forming:x", "md:{a:b}:trade:1m"],
)  # fmt: skip
def test_other_names_are_none_of_ours(name: str) -> None:
    assert parse_key(name) is None


def test_each_part_of_the_flow_numbers_its_events_in_a_lane_of_its_own() -> None:
    lanes = {kind.kind: kind.lane for kind in Event.__subclasses__()}
    assert {kind for kind, lane in lanes.items() if lane} == {
        "late", "kline_mismatch", "strategy_errored", "instance_changed", "model_changed",
    }  # fmt: skip
    told = InstanceChanged(KEY, 5_000_000, 9, "c", "mine", "running", "")
    (row,) = rows_of(told)[1]
    assert orjson.loads(row)[3] == "strategies"
    (row,) = rows_of(Gap(KEY, 5_000_000, 9, 1, 2, "gone"))[1]
    assert len(orjson.loads(row)) == 3
