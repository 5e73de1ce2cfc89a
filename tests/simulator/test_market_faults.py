"""Halts and invalidated aggregates: the market as it would have been, for whoever asks and when."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.market.errors import ConfigError
from simulator.altered import HaltedTape, InvalidatedTape, altered
from simulator.config import SYMBOLS, MarketSettings, SimulatorSettings
from simulator.faults import parse_fault
from simulator.klines import KlineOracle, window
from simulator.market import Market, open_market
from simulator.recorded import RecordedTape
from simulator.rest import Rest
from simulator.streams import Channels
from simulator.synthetic import SyntheticTape
from simulator.tape import SECOND_US, Tape, Trade

SPEC = SYMBOLS[1]
BEGIN = 1_767_614_400_000_000 - 60 * SECOND_US
END = BEGIN + 120 * SECOND_US


def synthetic(bookkeeping: float = 0.05) -> Tape:
    return SyntheticTape(SPEC, seed=3, begin_us=BEGIN, bookkeeping=bookkeeping)


def recorded() -> Tape:
    # With holes in the ids, as futures have them.
    rows = [t for n, t in enumerate(synthetic().trades(0, END, 10**6)) if n % 7]
    return RecordedTape(
        np.array([t.id for t in rows]),
        np.array([t.time_us for t in rows]),
        np.array([t.price for t in rows]),
        np.array([t.quantity for t in rows]),
        np.array([t.buyer_is_maker for t in rows]),
    )


def without(rows: list[Trade], spans: list[tuple[int, int]]) -> list[Trade]:
    """Return what a halted tape should hold, the plain way."""
    kept: list[Trade] = []
    for n, trade in enumerate(rows):
        if not any(a <= trade.time_us < b for a, b in spans):
            kept.append(trade._replace(id=trade.id - (n - len(kept))))
    return kept


@st.composite
def spans(draw: st.DrawFn) -> list[tuple[int, int]]:
    edges = sorted(draw(st.sets(st.integers(BEGIN + 1, END), min_size=2, max_size=6)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    if draw(st.booleans()):
        pairs[-1] = (pairs[-1][0], 1 << 62)
    return pairs


@pytest.mark.parametrize("make", [synthetic, recorded])
@given(cut=spans(), moment=st.integers(BEGIN, END))
@settings(max_examples=25, deadline=None)
def test_a_halted_tape_is_the_tape_without_those_trades(
    make: type[Tape], cut: list[tuple[int, int]], moment: int
) -> None:
    expected = without(make().trades(0, END, 10**6), cut)
    tape = HaltedTape(make(), cut)
    assert tape.trades(0, END, 10**6) == expected
    before = [t for t in expected if t.time_us < moment]
    assert tape.count_before(moment) == len(before)
    assert tape.price_before(moment) == next((t.price for t in reversed(before) if t.price), 0)
    position = len(before)
    assert tape.trades(position, END, 5) == expected[position : position + 5]
    if position < len(expected):
        assert tape.position_of(expected[position].id) == position
    aggregates = tape.aggregates(0, END, 10**6)
    first = tape.first_aggregate_id
    assert [a.id for a in aggregates] == list(range(first, first + len(aggregates)))
    assert sum(a.quantity for a in aggregates) == sum(t.quantity for t in expected)
    after = tape.aggregates_before(moment)
    assert tape.aggregates(after, END, 3) == aggregates[after : after + 3]


def test_the_klines_of_a_halted_tape_add_up_its_trades() -> None:
    cut = [(BEGIN + 10_500_000, BEGIN + 50_250_000)]
    tape = HaltedTape(synthetic(), cut)
    rows = without(synthetic().trades(0, END, 10**6), cut)
    for kline in KlineOracle(tape).klines("1s", BEGIN, END - 1, until_us=END, limit=200):
        inside = [t for t in rows if kline.open_us <= t.time_us < kline.end_us and t.price]
        assert kline.bar.trades == len(inside)
        assert kline.bar.volume == sum(t.quantity for t in inside)
        if inside:
            ids = (inside[0].id, inside[-1].id)
            assert (kline.bar.first_id, kline.bar.last_id) == ids


def test_invalidated_aggregates_have_ids_of_their_own_and_no_trades() -> None:
    plain = synthetic(0).aggregates(0, END, 10**6)
    tape = InvalidatedTape(synthetic(0), [(BEGIN + 20 * SECOND_US, 4), (BEGIN + 40 * SECOND_US, 2)])
    rows = tape.aggregates(0, END, 10**6)
    assert [row.id for row in rows] == list(range(rows[0].id, rows[0].id + len(plain) + 6))
    added = [n for n, row in enumerate(rows) if row.last_id == -1]
    assert len(added) == 6
    for index in added:
        assert rows[index][1:] == (rows[index].time_us, 0, 0, False, -1, -1)
        assert tape.aggregates(index, END, 3) == rows[index : index + 3]
    assert [r[1:] for n, r in enumerate(rows) if n not in added] == [r[1:] for r in plain]
    assert all(a.time_us <= b.time_us for a, b in pairwise(rows))
    assert tape.aggregates_before(END) == len(rows)


def market(*faults: str) -> Market:
    opened = open_market(MarketSettings(history=60), now=datetime.now(UTC))
    return altered(opened, [parse_fault(text) for text in faults])


@pytest.mark.parametrize(
    ("status", "frames", "rows"),
    [("HALT", True, 3), ("BREAK", False, 2), ("CANCEL_ONLY", False, 2)],
)
def test_klines_of_a_halt_are_flat_and_of_a_break_there_are_none(
    status: str, frames: bool, rows: int
) -> None:
    traded = market(f"status@after=30s,for=105s,symbol=BTCUSDT,status={status}")
    start = traded.start_us
    begin, end = start + 30 * SECOND_US, start + 135 * SECOND_US
    channel = Channels(traded, "timer").find("btcusdt@kline_1m", 1000, combined=False)
    assert channel is not None
    told = [f[0] for f in channel.due(start, start + 180 * SECOND_US + 100_000)]
    assert any(begin <= time < end for time in told) is frames
    assert sum(time >= end for time in told) > 20
    # 12:00 holds trades, 12:01 is wholly inside, 12:02 ends behind.
    klines = traded.listings["BTCUSDT"].klines.klines(
        "1m", start, end, until_us=start + 180 * SECOND_US, limit=10
    )
    assert len(klines) == rows
    flat = [k for k in klines if not k.bar.trades]
    assert len(flat) == (1 if frames else 0)
    other = traded.listings["ETHUSDT"]
    assert other.tape.count_before(end) > other.tape.count_before(begin)


def test_the_status_is_what_exchange_info_says_and_selects_by() -> None:
    traded = market("status@after=30s,for=60s,symbol=ETHUSDT,status=BREAK")
    rest = Rest(traded, SimulatorSettings())

    def listed(seconds: int, query: str) -> str:
        now = traded.start_us + seconds * SECOND_US
        return rest.reply(f"/api/v3/exchangeInfo?{query}", {}, now).body

    assert '"symbol":"ETHUSDT","status":"BREAK"' in listed(30, "symbol=ETHUSDT")
    assert '"symbol":"ETHUSDT","status":"TRADING"' in listed(90, "symbol=ETHUSDT")
    assert "BTCUSDT" not in listed(40, "symbolStatus=BREAK")
    assert "ETHUSDT" in listed(40, "symbolStatus=BREAK")
    assert "ETHUSDT" not in listed(40, "symbolStatus=TRADING")


def test_a_break_is_the_same_whoever_asks_and_when() -> None:
    fault = "status@after=5s,for=20s,symbol=BTCUSDT"
    once, often = market(fault), market(fault)
    end = once.start_us + 60 * SECOND_US
    for second in range(60):
        often.advance(often.start_us + second * SECOND_US)
    once.advance(end)
    for traded in (once, often):
        rows = traded.listings["BTCUSDT"].tape.trades(0, end, 10**6)
        assert [t.id for t in rows] == list(range(rows[0].id, rows[0].id + len(rows)))
        silence = range(once.start_us + 5 * SECOND_US, once.start_us + 25 * SECOND_US)
        assert not any(t.time_us in silence for t in rows)
    both = [t.listings["BTCUSDT"].tape.trades(0, end, 10**6) for t in (once, often)]
    assert both[0] == both[1]


def test_futures_break_and_go_on_as_spot_does() -> None:
    opened = open_market(MarketSettings(history=60, product="usdm"), now=datetime.now(UTC))
    fault = parse_fault("status@after=5040ms,for=20s,symbol=BTCUSDT")
    listing = altered(opened, [fault]).listings["BTCUSDT"]
    # No aggregate of 100 ms is cut in two.
    ((begin, _, _),) = listing.statuses.spans
    assert begin == opened.start_us + 5 * SECOND_US
    tape, end = listing.tape, opened.start_us + 60 * SECOND_US
    rows = tape.aggregates(0, end, 10**6)
    assert [row.id for row in rows] == list(range(rows[0].id, rows[0].id + len(rows)))
    silence = range(opened.start_us + 5 * SECOND_US, opened.start_us + 25 * SECOND_US)
    assert not any(row.time_us in silence for row in rows)
    assert all(b.first_id > a.last_id for a, b in pairwise(rows))
    trades = tape.trades(0, end, 10**6)
    assert sum(row.quantity for row in rows) == sum(trade.quantity for trade in trades)


def test_without_faults_of_its_own_a_market_is_left_as_it_is() -> None:
    opened = open_market(MarketSettings(history=60), now=datetime.now(UTC))
    same = altered(opened, [parse_fault("drop@after=5s")])
    assert all(same.listings[s] is listing for s, listing in opened.listings.items())


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (("status@symbol=NOSUCH",), "`symbol=NOSUCH` is not traded here"),
        (("badagg@symbol=btcusdt",), "`symbol=btcusdt` is not traded here"),
        (("status@after=5s", "status@after=9s,for=1s"), "BREAK and BREAK of one symbol overlap"),
    ],
)
def test_what_a_market_cannot_have_is_refused_with_a_hint(
    faults: tuple[str, ...], why: str
) -> None:
    with pytest.raises(ConfigError) as error:
        market(*faults)
    assert why in str(error.value)
    assert "hint: " in str(error.value)


def test_a_window_of_silences_that_touch_has_no_kline() -> None:
    traded = market(
        "status@after=50s,for=40s,symbol=BTCUSDT,status=BREAK",
        "status@after=90s,for=60s,symbol=BTCUSDT,status=CANCEL_ONLY",
    )
    opens = [
        k.open_us
        for k in traded.listings["BTCUSDT"].klines.klines(
            "1m", traded.start_us, 1 << 60, until_us=traded.start_us + 200 * SECOND_US, limit=9
        )
    ]
    missing = window("1m", traded.start_us + 61 * SECOND_US)[0]
    assert len(opens) == 3
    assert missing not in opens
