"""Links that follow one another, streams that fall silent, halts, commands."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.exchange.handover import JOIN_US
from core.exchange.links import PROBE_US
from core.exchange.plan import Plan
from core.exchange.session import Session
from core.exchange.states import LinkState, StreamState
from core.exchange.watch import CONFIRM_US, LOOK_US
from core.market.events import (
    Disconnected,
    Gap,
    GapOpened,
    Quarantined,
    Rotated,
    Stale,
    StatusChanged,
    Tick,
)
from tests.core.exchange.memory import START_US, Exchange, events, exchange, ids, trade_text

HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000


def rotating(symbols: tuple[str, ...] = ("BTCUSDT",)) -> Exchange:
    return Exchange(Session(Plan(symbols=symbols, rotate_us=23 * HOUR_US)))


def test_an_old_link_is_replaced_and_no_trade_is_asked_for() -> None:
    ex = rotating()
    ex.open()
    ex.trades(0, 9)
    ex.wait(23 * HOUR_US)
    assert ex.dialled == ["age"]
    ex.open()
    ex.trades(10, 19)
    items = ex.drain()
    assert ids(items) == list(range(20))
    assert ex.hangups == ["replaced"]
    assert not [i for i in items if isinstance(i, GapOpened)]
    (rotated,) = [i for i in items if isinstance(i, Rotated)]
    assert (rotated.link, rotated.old_link) == (2, 1)
    assert [d.reason for d in items if isinstance(d, Disconnected)] == ["replaced"]
    assert set(ex.session.links) == {2}
    assert ex.session.links[2].state is LinkState.LIVE


def test_rows_of_the_newer_link_wait_for_those_that_the_older_still_brings() -> None:
    ex = rotating()
    ex.open()
    ex.trades(0, 4)
    ex.session._links.rotate("a test")
    ex.open()
    for i in (7, 8):  # the newer link is ahead
        ex.feed("frame", trade_text(i), 2)
    assert ids(ex.drain()) == [0, 1, 2, 3, 4]
    for i in (5, 6):
        ex.feed("frame", trade_text(i), 1)
    items = ex.drain()
    assert ids(items) == list(range(9))
    assert events(items)[-2:] == ["rotated", "disconnected"]
    assert ex.session.tapes["BTCUSDT"].duplicates == 0


def test_no_window_is_closed_by_the_newer_links_clock() -> None:
    ex = rotating()
    ex.open()
    ex.trade(0)
    ex.session._links.rotate("a test")
    ex.open()
    ex.feed("frame", trade_text(500, at_us=START_US + 60 * MINUTE_US), 2)
    ticks = [i.time_us for i in ex.drain() if isinstance(i, Tick)]
    assert max(ticks, default=0) < START_US + MINUTE_US


def test_a_quiet_symbol_is_joined_by_asking() -> None:
    ex = rotating()
    ex.open()
    ex.trades(0, 4)
    ex.session._links.rotate("a test")
    ex.open()
    assert set(ex.session.links) == {1, 2}
    ex.wait(PROBE_US + 1)
    assert set(ex.session.links) == {2}
    assert ids(ex.drain()) == [0, 1, 2, 3, 4]


def test_an_older_link_that_is_lost_meanwhile_costs_a_repair_and_nothing_else() -> None:
    ex = rotating()
    ex.open()
    ex.trades(0, 4)
    ex.session._links.rotate("a test")
    ex.open()
    ex.held = 9
    ex.feed("frame", trade_text(8), 2)
    ex.close(link=1)
    items = ex.drain()
    assert ids(items) == list(range(9))
    assert [i.kind for i in items if isinstance(i, GapOpened | Gap)] == ["gap_opened"]


def test_a_replacement_that_is_lost_is_tried_again_and_the_older_link_goes_on() -> None:
    ex = rotating()
    ex.open()
    ex.trades(0, 4)
    ex.session._links.rotate("a test")
    ex.open()
    ex.close(link=2)
    ex.trades(5, 9)
    assert ids(ex.drain()) == list(range(10))
    ex.wait(11_000_000)
    assert ex.dialled == ["a test", "age"]


def test_a_replacement_that_cannot_be_dialled_is_tried_again() -> None:
    ex = rotating()
    ex.open()
    ex.trade(0)
    ex.session._links.rotate("a test")
    ex.feed("close", "refused", 2)
    ex.wait(11_000_000)
    assert ex.dialled == ["a test", "age"]
    assert set(ex.session.links) == {1}


def test_a_link_that_never_meets_its_replacement_is_given_up() -> None:
    ex = rotating()
    ex.open()
    ex.trades(0, 4)
    ex.session._links.rotate("a test")
    ex.open()
    ex.held = 30
    ex.feed("frame", trade_text(29), 2)  # the older one brings nothing any more
    ex.failing = True
    ex.wait(JOIN_US)
    ex.failing = False
    ex.wait(MINUTE_US)
    assert ids(ex.drain()) == list(range(30))


@pytest.mark.parametrize(
    "text",
    [
        '{"e":"serverShutdown","E":1770123456789}',
        '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
        '{"event":{"e":"serverShutdown","E":1770123456789}}',
    ],
)
def test_a_shutdown_that_is_announced_in_any_shape_opens_the_next_link(text: str) -> None:
    ex = exchange()
    ex.open()
    ex.trade(0)
    ex.feed("frame", text)
    assert ex.dialled == ["the server is about to shut down"]
    ex.feed("frame", text)
    assert len(ex.dialled) == 1


def test_a_stream_that_dies_silently_is_found_repaired_and_asked_for_again() -> None:
    ex = exchange()
    ex.open()
    for i in range(40):
        ex.trade(i)
        ex.wait(1_000_000)
    ex.up.clear()  # acknowledged, open, and silent
    ex.held = 60
    ex.wait(MINUTE_US)
    items = ex.drain()
    assert ids(items) == list(range(60))
    stale = [i for i in items if isinstance(i, Stale)]
    assert "REST is at id 59" in stale[0].reason
    assert sum("UNSUBSCRIBE" in text for text in ex.sent) == 1
    assert ex.session.links[1].streams["btcusdt@trade"] is StreamState.ACKED
    ex.held = 90
    ex.wait(3 * MINUTE_US)
    assert ids(ex.drain()) == list(range(90))
    assert ex.hangups == ["btcusdt@trade stays silent"]


def test_a_stream_that_speaks_again_is_forgiven() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 40)
    ex.up.clear()
    ex.held = 50
    ex.wait(2 * MINUTE_US)
    assert len([i for i in ex.drain() if isinstance(i, Stale)]) == 1
    ex.up.append(1)
    ex.trades(50, 60)
    ex.wait(LOOK_US)
    assert ex.session._inquiries._watches["BTCUSDT"].stales == 0
    assert ex.session.links[1].streams["btcusdt@trade"] is StreamState.LIVE
    assert ids(ex.drain()) == list(range(61))


def test_a_trade_on_its_way_while_rest_was_asked_is_no_fault() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 40)
    ex.wait(LOOK_US)
    ex.held = 42
    ex.wait(10_000_000)
    assert any(name.startswith("confirm") for name in ex.session._desk.due)
    ex.trade(41)
    ex.wait(2 * CONFIRM_US)
    assert not [i for i in ex.drain() if isinstance(i, Stale)]


def test_a_quiet_market_is_asked_about_ever_more_rarely() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 40)
    ex.wait(HOUR_US)
    asked = [f for f in ex.inputs if f.kind == "page"]
    assert 3 <= len(asked) <= 12
    assert not [i for i in ex.drain() if isinstance(i, Stale | Disconnected)]
    assert ex.hangups == []


def test_a_halt_is_an_event_and_no_fault() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 9)
    ex.statuses = {"BTCUSDT": "HALT", "NOT-OURS": "BREAK"}
    ex.wait(MINUTE_US)
    ex.statuses = {"BTCUSDT": "TRADING"}
    ex.wait(MINUTE_US)
    items = ex.drain()
    assert [i.status for i in items if isinstance(i, StatusChanged)] == ["HALT", "TRADING"]
    assert not [i for i in items if isinstance(i, Stale)]
    assert ex.session.resume().statuses == {"BTCUSDT": "TRADING"}


def test_a_status_that_changed_while_we_were_away_is_told() -> None:
    ex = Exchange(Session(Plan(symbols=("BTCUSDT",), statuses={"BTCUSDT": "BREAK"})))
    ex.feed("status", '{"statuses":{"BTCUSDT":"TRADING"}}')
    ex.feed("status", '{"statuses":{"BTCUSDT":"TRADING"}}')
    ex.feed("status", "nonsense")
    assert [i.status for i in ex.drain() if isinstance(i, StatusChanged)] == ["TRADING"]


def test_symbols_come_and_go_on_a_running_link() -> None:
    ex = exchange()
    ex.open()
    ex.trades(0, 4)
    ex.feed("command", json.dumps({"subscribe": {"ETHUSDT": [2, 4], "BTCUSDT": [2, 5]}}))
    assert [json.loads(text)["params"] for text in ex.sent] == [
        ["btcusdt@trade"], ["ethusdt@trade"],
    ]  # fmt: skip
    ex.feed("frame", trade_text(7, symbol="ETHUSDT"))
    ex.feed("command", json.dumps({"unsubscribe": ["BTCUSDT", "NEVER"]}))
    ex.feed("frame", trade_text(5))  # one that was on its way
    ex.wait(10 * MINUTE_US)
    ex.drain()
    by_key = {key for key, item in ex.items if not isinstance(item, Tick)}
    assert by_key == {"binance:shard-0", "binance:BTCUSDT", "binance:ETHUSDT"}
    assert not [i for _, i in ex.items if isinstance(i, Quarantined)]
    assert ex.session.plan.symbols == ("ETHUSDT",)
    assert set(ex.session.resume().next_ids) == {"ETHUSDT"}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("trades"), st.integers(1, 9)),
        st.tuples(st.just("rotate"), st.just(0)),
        st.tuples(st.just("ahead"), st.integers(1, 6)),
        st.tuples(st.just("lose"), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.integers(1, 40_000_000)),
        st.tuples(st.just("mute"), st.integers(1, 9)),
        st.tuples(st.just("drain"), st.just(0)),
    ),
    max_size=25,
)


def act(ex: Exchange, step: str, n: int) -> None:
    match step:
        case "trades":
            ex.trades(ex.held, ex.held + n - 1)
        case "rotate":
            ex.session._links.rotate("a test")
            if len(ex.dialled) > ex.link - 1:
                ex.open()
        case "ahead" if ex.up:  # only the newest link brings these
            for i in range(ex.held, ex.held + n):
                ex.held = i + 1
                ex.feed("frame", trade_text(i), ex.up[-1])
        case "lose" if len(ex.up) > n:
            ex.close(link=ex.up[n])
            if not ex.up:
                ex.open()
        case "wait":
            ex.wait(n)
        case "mute":
            ex.held += n
        case "drain":
            ex.drain()


@settings(max_examples=200, deadline=None)
@given(steps)
def test_however_links_follow_one_another_each_id_leaves_once(
    script: list[tuple[str, int]],
) -> None:
    ex = rotating()
    ex.open()
    ex.trade(0)
    for step, n in script:
        act(ex, step, n)
    for link in list(ex.up):
        ex.close(link=link)
    ex.open()
    ex.wait(2 * MINUTE_US)
    ex.trade(ex.held)
    ex.wait(2 * MINUTE_US)
    items = ex.drain()
    assert ids(items) == list(range(ex.held))
    tape = ex.session.tapes["BTCUSDT"]
    assert tape.received == ex.held + tape.duplicates + tape.rejected
    again = Session(ex.session.plan)
    for frame in ex.inputs:
        again.feed(frame)
    assert ids(item for _, item in again.items()) == list(range(ex.held))
