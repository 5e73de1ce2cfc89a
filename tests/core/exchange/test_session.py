"""The session against an exchange in memory: faults are data, no clock but the test's."""

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.exchange.link import ACK_DEADLINE_US
from core.exchange.links import PROBE_US
from core.exchange.plan import Plan
from core.exchange.session import Session
from core.exchange.states import STREAM_TRANSITIONS, TRANSITIONS, LinkState, StreamState
from core.market.events import (
    Connected,
    Disconnected,
    ExchangeKline,
    Frame,
    Gap,
    GapOpened,
    GapRepaired,
    Quarantined,
    Tick,
)
from core.market.trades import Trades
from tests.core.exchange.memory import KEY, START_US, Exchange, events, exchange, ids, trade_text


def test_trades_pass_in_order_and_once() -> None:
    ex = exchange()
    ex.open()
    ex.trades(5, 9)
    ex.trades(7, 12)
    items = ex.drain()
    assert ids(items) == list(range(5, 13))
    assert events(items) == ["connected"]
    assert ex.session.tapes["BTCUSDT"].duplicates == 3


def test_a_skipped_id_is_repaired_in_its_place() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 4)
    ex.trades(9, 12)
    items = ex.drain()
    assert ids(items) == list(range(13))
    assert events(items) == ["connected", "gap_opened", "gap_repaired"]
    opened, repaired = (i for i in items if isinstance(i, GapOpened | GapRepaired))
    assert (opened.first_id, opened.last_id) == (5, 8)
    assert (repaired.first_id, repaired.last_id) == (5, 8)
    assert [t.repaired for t in items if isinstance(t, Trades)] == [False, True, False]


def test_a_reconnect_repairs_what_was_missed_before_anything_newer_leaves() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 9)
    ex.close()
    ex.held = 30
    ex.open()
    ex.trades(30, 34)
    items = ex.drain()
    assert ids(items) == list(range(35))
    assert events(items) == [
        "connected", "disconnected", "connected", "gap_opened", "gap_repaired",
    ]  # fmt: skip


def test_after_a_reconnect_a_quiet_symbol_is_proven_by_rest() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 9)
    ex.close()
    ex.held = 13
    ex.open()
    ex.wait(PROBE_US + 1)
    assert ids(ex.drain()) == list(range(13))


def test_no_tick_leaves_while_continuity_is_unproven() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 9)
    ex.close()
    ex.drain()
    ex.items.clear()
    ex.answers = False
    ex.open()
    later = START_US + 600_000_000
    ex.feed("time", json.dumps({"serverTime": later}))
    assert not [i for i in ex.drain() if isinstance(i, Tick)]
    ex.answers = True
    ex.trade(10)
    ex.now_us += 1_000_000
    ex.feed("time", json.dumps({"serverTime": later + 2_000_000}))
    assert [i.time_us for i in ex.drain() if isinstance(i, Tick)][-1] == later + 1_000_000


@pytest.mark.parametrize("real", [False, True])
def test_a_stamp_far_ahead_is_believed_only_when_rest_says_the_same(real: bool) -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 9)
    later = START_US + 86_400_000_000
    ex.server_us = later if real else START_US + 2_000_000
    # A frame that was stamped a day ahead, of a trade that was not.
    text = trade_text(10).replace(f'"E":{START_US + 100_000}', f'"E":{later}')
    assert str(later) in text
    ex.feed("frame", text)
    ex.trade(11)
    ticks = [i.time_us for i in ex.drain() if isinstance(i, Tick)]
    assert max(ticks, default=0) <= START_US + 1_000_000
    for _ in range(2):  # whoever answers may have been wrong at the same moment
        ex.now_us += 1_000_000
        ex.feed("alarm")
    items = ex.drain()
    assert ids(items) == list(range(12))
    ticks = [i.time_us for i in items if isinstance(i, Tick)]
    assert max(ticks) == (later - 1_000_000 if real else START_US + 1_000_000)


def test_ids_the_exchange_does_not_have_become_an_explicit_gap() -> None:
    ex = exchange()
    ex.absent = frozenset({5, 6})
    ex.open()
    ex.trades(0, 4)
    ex.trades(8, 9)
    ex.wait(10_000_000)
    items = ex.drain()
    assert ids(items) == [0, 1, 2, 3, 4, 7, 8, 9]
    (gap,) = [i for i in items if isinstance(i, Gap)]
    assert (gap.first_id, gap.last_id) == (5, 6)
    assert "7" in gap.reason


def test_rows_that_come_during_a_repair_wait_and_a_second_hole_is_found() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 4)
    ex.answers = False
    ex.trades(9, 10)
    ex.trades(14, 15)
    assert ids(ex.drain()) == [0, 1, 2, 3, 4]
    ex.answers = True
    ex.page(2, [5, 6, 7, 8, 9])
    assert ids(ex.drain()) == list(range(16))


def test_a_buffer_that_overflows_makes_the_hole_larger_and_loses_nothing() -> None:
    ex = exchange()
    ex.session.tapes["BTCUSDT"]._buffer_limit = 10
    ex.open()
    ex.trades(0, 4)
    ex.answers = False
    ex.trades(9, 60)
    tape = ex.session.tapes["BTCUSDT"]
    assert len(tape._buffer) <= 10
    ex.answers = True
    ex.page(2, [5, 6, 7, 8, 9])
    items = ex.drain()
    assert ids(items) == list(range(61))
    assert tape.received == 61


def test_an_unanswered_subscribe_is_hung_up() -> None:
    ex = exchange()
    ex.answers = False
    ex.open()
    ex.wait(2 * ACK_DEADLINE_US)
    assert ex.hangups == ["no answer to SUBSCRIBE"]


def test_a_refused_subscribe_is_quarantined_and_hung_up() -> None:
    ex = exchange()
    ex.answers = False
    ex.open()
    ex.feed("frame", '{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}')
    assert ex.hangups == ["refused: 2 Invalid request: invalid stream"]
    (bad,) = [i for i in ex.drain() if isinstance(i, Quarantined)]
    assert "invalid stream" in bad.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{nonsense", "not JSON"),
        ('{"e":"surprise"}', "unknown event"),
        (trade_text(3, symbol="OTHER"), "unknown symbol `OTHER`"),
        ('{"result":null,"id":99}', "an answer to no request of ours"),
        ('[{"id":1}]', "expected a JSON object"),
        (trade_text(3).replace('"0.02000000"', "NaN"), "not JSON"),
        (trade_text(3).replace('"61837.63000000"', "61837.63"), "bad trade"),
    ],
)
def test_what_cannot_be_used_is_quarantined_and_its_trade_repaired(text: str, reason: str) -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 2)
    ex.held = 4
    ex.feed("frame", text)
    ex.trades(4, 6)
    items = ex.drain()
    (bad,) = [i for i in items if isinstance(i, Quarantined)]
    assert reason in bad.reason
    assert bad.payload == text
    assert ids(items) == list(range(7))


def test_a_number_that_cannot_be_held_is_a_gap_of_one() -> None:
    ex = exchange()
    ex.open()
    ex.trade(0)
    ex.feed("frame", trade_text(1, price="1e5"))
    ex.trade(2)
    items = ex.drain()
    assert ids(items) == [0, 2]
    (gap,) = [i for i in items if isinstance(i, Gap)]
    assert (gap.first_id, gap.last_id) == (1, 1)
    assert "1e5" in gap.reason
    assert ex.session.tapes["BTCUSDT"].rejected == 1


def test_a_capture_of_others_has_no_repair_and_takes_any_symbol() -> None:
    session = Session(Plan(repairs=False, any_symbol=True))
    ex = Exchange(session, answers=False)
    for i in (1, 2, 5):
        ex.feed("frame", trade_text(i))
    ex.feed("frame", trade_text(7, symbol="ETHUSDT"))
    out = session.items()
    assert {key for key, _ in out} == {KEY, "binance:ETHUSDT"}
    btc = [item for key, item in out if key == KEY]
    assert ids(btc) == [1, 2, 5]
    assert [(g.first_id, g.last_id) for g in btc if isinstance(g, Gap)] == [(3, 4)]


def test_the_exchanges_closed_klines_come_out_exact() -> None:
    ex = exchange(audit=("1m",))
    ex.open()
    ex.feed(
        "frame",
        '{"e":"kline","E":1751132822018,"s":"BTCUSDT","k":{"t":1751132760000,'
        '"T":1751132819999,"s":"BTCUSDT","i":"1m","f":5052328412,"L":5052328605,'
        '"o":"107413.25000000","c":"107413.18000000","h":"107413.25000000",'
        '"l":"107413.18000000","v":"0.61673000","n":194,"x":true,"q":"66244.96435620",'
        '"V":"0.02328000","Q":"2500.57910880","B":"0"}}',
    )
    (found,) = [i for i in ex.drain() if isinstance(i, ExchangeKline)]
    kline = found.kline
    assert kline.text("quote_volume") == "66244.9643562"
    assert kline.text("open") == "107413.25"
    assert (kline.close_us, kline.trades) == (1751132819999999, 194)


def test_the_state_table_names_every_way_and_all_states_can_be_left() -> None:
    assert {state for state, _ in TRANSITIONS} == set(LinkState)
    assert set(TRANSITIONS.values()) == set(LinkState)
    assert {state for state, _ in STREAM_TRANSITIONS} == set(StreamState)
    assert set(STREAM_TRANSITIONS.values()) == set(StreamState)


def test_inputs_out_of_place_are_ignored() -> None:
    session = Session(Plan(symbols=("BTCUSDT",)))
    for kind in ("close", "alarm", "time", "page", "open", "open", "close", "close"):
        session.feed(Frame(session.plan.key, START_US, kind, 1, ""))
    assert not session.links


script = st.lists(
    st.one_of(
        st.tuples(st.just("trades"), st.integers(1, 12)),
        st.tuples(st.just("skip"), st.integers(1, 8)),
        st.tuples(st.just("again"), st.integers(1, 8)),
        st.tuples(st.just("drop"), st.integers(0, 8)),
        st.tuples(st.just("garbage"), st.just(1)),
        st.tuples(st.just("wait"), st.integers(1, 3_000_000)),
        st.tuples(st.just("mute"), st.just(1)),
        st.tuples(st.just("drain"), st.just(1)),
    ),
    max_size=25,
)


def act(ex: Exchange, step: str, n: int) -> None:
    match step:
        case "trades":
            ex.trades(ex.held, ex.held + n - 1)
        case "skip":
            ex.held += n
        case "again":
            ex.trades(max(0, ex.held - n), ex.held - 1)
        case "drop":
            ex.close()
            ex.held += n
            ex.open()
        case "garbage":
            ex.feed("frame", "{")
        case "wait":
            ex.wait(n)
        case "mute":
            ex.failing = not ex.failing
        case "drain":
            ex.drain()


def play(ex: Exchange, steps: list[tuple[str, int]]) -> None:
    ex.open()
    ex.trade(0)
    for step, n in steps:
        act(ex, step, n)
    ex.failing = False
    ex.close()
    ex.open()
    ex.wait(60_000_000)
    ex.trade(ex.held)
    ex.wait(60_000_000)


@settings(max_examples=150, deadline=None)
@given(script)
def test_whatever_happens_each_id_leaves_once_in_order_and_none_is_missing(
    steps: list[tuple[str, int]],
) -> None:
    ex = exchange()
    play(ex, steps)
    items = ex.drain()
    assert ids(items) == list(range(ex.held))
    assert not [i for i in items if isinstance(i, Gap)]
    tape = ex.session.tapes["BTCUSDT"]
    assert tape.received == ex.held + tape.duplicates + tape.rejected


def rows(items: Iterable[tuple[str, object]]) -> dict[str, list[object]]:
    """All that is said by key, without the cuts between batches."""
    out: dict[str, list[object]] = {}
    for key, item in items:
        said = out.setdefault(key, [])
        said += (
            [(*row, item.price_scale, item.repaired) for row in item.rows()]
            if isinstance(item, Trades)
            else [item]
        )
    return out


@settings(max_examples=100, deadline=None)
@given(script, st.lists(st.booleans(), min_size=1, max_size=7))
def test_the_recorded_inputs_give_a_new_session_the_same_items(
    steps: list[tuple[str, int]], drains: list[bool]
) -> None:
    ex = exchange()
    play(ex, steps)
    ex.drain()
    again = Session(ex.session.plan)
    said = []
    for frame, drain in zip(ex.inputs, itertools.cycle(drains), strict=False):
        again.feed(frame)
        if drain:
            said += again.items()
    said += again.items()
    assert rows(said) == rows(ex.items)


def test_a_session_resumes_behind_what_was_handed_out_not_behind_what_it_received() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 4)
    ex.drain()
    ex.trades(5, 9)
    plan = ex.session.resume()
    assert plan.next_ids == {"BTCUSDT": 5}
    assert plan.scales["BTCUSDT"] == (2, 2)
    later = Exchange(Session(plan), held=20)
    later.open()
    later.trade(20)
    assert ids(later.drain()) == list(range(5, 21))


def test_links_report_how_long_they_lived() -> None:
    ex = exchange()
    ex.open()
    ex.trade(0)
    ex.wait(3_000_000)
    ex.close("1006 abnormal")
    said = ex.drain()
    (up,) = [i for i in said if isinstance(i, Connected)]
    (down,) = [i for i in said if isinstance(i, Disconnected)]
    assert (up.link, down.link, down.reason) == (1, 1, "1006 abnormal")
    assert down.lived_us > 3_000_000
    assert down.seq > up.seq
