"""Streams on real sockets: shapes, order, completeness, control and limits."""

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from core.market.errors import MarketError, ServiceError
from simulator.config import LimitSettings, MarketSettings, SimulatorSettings
from simulator.local import Simulator
from simulator.tape import Trade

Json = dict[str, Any]
Start = Callable[..., Simulator]
Open = Callable[[Simulator, str], ClientConnection]
Read = Callable[..., list[Json]]
Ask = Callable[..., Json]
Drain = Callable[[ClientConnection], tuple[list[Json], ConnectionClosed]]

DEADLINE = 20.0


def trade_of(frame: Json, unit: int = 1) -> Trade:
    price, quantity = (int(Decimal(frame[key]) * 10**8) for key in "pq")
    return Trade(frame["t"], frame["T"] * unit, price, quantity, frame["m"])


def test_a_raw_stream_gives_every_trade_once_in_order(
    shared: Simulator, opened: Open, read: Read
) -> None:
    socket = opened(shared, "/ws/btcusdt@trade?timeUnit=MICROSECOND")
    frames = read(socket, 800)
    assert list(frames[0]) == ["e", "E", "s", "t", "p", "q", "T", "m", "M"]
    trades = [trade_of(frame) for frame in frames]
    oracle = shared.trades("BTCUSDT", trades[0].time_us, trades[-1].time_us + 1)
    assert trades == [t for t in oracle if trades[0].id <= t.id <= trades[-1].id]
    assert all(b.id == a.id + 1 for a, b in pairwise(trades))
    assert all(a["E"] <= b["E"] for a, b in pairwise(frames))
    assert all(frame["T"] < frame["E"] <= shared.now_us() for frame in frames)


def test_combined_streams_come_wrapped_and_in_the_order_of_exchange_time(
    shared: Simulator, opened: Open, read: Read
) -> None:
    names = ["btcusdt@trade", "ethusdt@aggTrade", "btcusdt@kline_1s", "bnbusdt@trade"]
    socket = opened(shared, f"/stream?streams={'/'.join(names).replace('@', '%40')}")
    frames = read(socket, 800)
    assert {frame["stream"] for frame in frames} == set(names)
    assert all(a["data"]["E"] <= b["data"]["E"] for a, b in pairwise(frames))
    aggregates = [f["data"] for f in frames if f["stream"] == "ethusdt@aggTrade"]
    assert list(aggregates[0]) == ["e", "E", "s", "a", "p", "q", "f", "l", "T", "m", "M"]
    assert all(b["a"] == a["a"] + 1 and b["f"] == a["l"] + 1 for a, b in pairwise(aggregates))
    assert frames[0]["data"]["E"] < 10**14


def test_closed_klines_equal_the_oracle(shared: Simulator, opened: Open, read: Read) -> None:
    socket = opened(shared, "/ws/ethusdt@kline_1m/dogebtc@kline_1m")
    closed = [f for f in read(socket, 90) if f["k"]["x"]]
    assert len(closed) >= 2
    for frame in closed:
        k = frame["k"]
        (kline,) = shared.klines(frame["s"], "1m", k["t"] * 1000, k["t"] * 1000 + 1)
        units = [int(Decimal(k[key]) * 10**8) for key in ("o", "h", "l", "c", "v", "V")]
        bar = kline.bar
        assert units == [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.buy_volume]
        assert (k["n"], k["f"], k["L"]) == (bar.trades, bar.first_id, bar.last_id)
        assert Decimal(k["q"]) == Decimal(bar.quote_volume) / 10**16
        assert (k["T"], k["i"], k["s"]) == (k["t"] + 59_999, "1m", frame["s"])
        assert 14 <= frame["E"] - k["T"] - 1 <= 21


def test_the_market_is_the_same_at_any_speed(start: Start, opened: Open, read: Read) -> None:
    fast = {f["t"]: f for f in read(opened(start(speed=100.0), "/ws/btcusdt@trade"), 400)}
    end = min(fast) + 100
    slow = read(opened(start(speed=20.0), "/ws/btcusdt@trade"), last=lambda f: f["t"] == end)
    common = [frame for frame in slow if frame["t"] in fast]
    assert len(common) > 50
    assert all(fast[frame["t"]] == frame for frame in common)


def test_subscriptions_change_on_an_open_connection(
    shared: Simulator, opened: Open, ask: Ask, read: Read
) -> None:
    socket = opened(shared, "/ws")
    names = ["btcusdt@trade", "ETHUSDT@trade", "nosuch@trade", "btcusdt@depth"]
    assert ask(socket, {"method": "SUBSCRIBE", "params": names, "id": 1}) == {
        "result": None,
        "id": 1,
    }
    # Unknown, upper-case and silent streams are accepted, and say nothing.
    assert {frame["s"] for frame in read(socket, 300)} == {"BTCUSDT"}
    listed = ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": 2})
    assert listed == {"result": names, "id": 2}
    ask(socket, {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 3})
    with pytest.raises(TimeoutError):
        socket.recv(timeout=0.3)


def test_setting_combined_wraps_what_follows(
    start: Start, opened: Open, ask: Ask, read: Read
) -> None:
    socket = opened(start(), "/stream?streams=btcusdt@trade")
    assert "stream" in read(socket, 1)[0]
    ask(socket, {"method": "SET_PROPERTY", "params": ["combined", False], "id": 1})
    assert all("e" in frame for frame in read(socket, 20))


def test_streams_begin_when_they_are_subscribed(
    shared: Simulator, opened: Open, read: Read
) -> None:
    before = shared.now_us() // 1000
    frame = read(opened(shared, "/ws/btcusdt@trade"), 1)[0]
    assert frame["E"] >= before


def test_too_many_streams_are_refused(start: Start, opened: Open, ask: Ask) -> None:
    sim = start(limits=LimitSettings(streams=3), errors="flat")
    names = [f"x{i}@trade" for i in range(4)]
    socket = opened(sim, f"/stream?streams={'/'.join(names)}")
    assert json.loads(socket.recv(timeout=DEADLINE))["code"] == 4
    assert ask(socket, {"method": "SUBSCRIBE", "params": names[:3], "id": 1})["result"] is None
    assert ask(socket, {"method": "SUBSCRIBE", "params": names, "id": 2})["code"] == 4
    assert ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": 3})["result"] == names[:3]


def test_the_sixth_message_of_a_second_ends_the_connection(
    start: Start, opened: Open, drain: Drain
) -> None:
    sim = start()
    socket = opened(sim, "/ws")
    for number in range(5):
        socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
    socket.ping()
    frames, closed = drain(socket)
    assert len(frames) == 5
    assert closed.rcvd is not None
    assert (closed.rcvd.code, closed.rcvd.reason) == (1008, "Too many requests")


def test_who_answers_pings_stays(start: Start, opened: Open, ask: Ask) -> None:
    sim = start(ping_interval=0.02, pong_timeout=0.5, limits=LimitSettings(messages=None))
    socket = opened(sim, "/ws/dogebtc@trade")
    for number in range(5):
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.05)
        assert ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": number})["id"] == number


def test_a_connection_lives_as_long_as_it_may(start: Start, opened: Open, drain: Drain) -> None:
    sim = start(lifetime=2.0)
    _, closed = drain(opened(sim, "/ws/btcusdt@trade"))
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1001


@pytest.mark.parametrize(
    ("target", "status"),
    [("/ws/btcusdt@trade?timeUnit=HOUR", 400), ("/wsx", 400), ("/elsewhere", 404)],
)
def test_a_wrong_address_is_refused(
    shared: Simulator, opened: Open, target: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(shared, target)
    assert refused.value.response.status_code == status


def test_more_connection_attempts_than_allowed_are_refused(start: Start, opened: Open) -> None:
    sim = start(limits=LimitSettings(connections=2))
    opened(sim, "/ws")
    opened(sim, "/ws")
    with pytest.raises(InvalidStatus, match="429"):
        opened(sim, "/ws")


def test_bookkeeping_trades_are_streamed_with_their_ids(
    start: Start, opened: Open, read: Read
) -> None:
    sim = start(market=MarketSettings(history=10, bookkeeping=0.1))
    frames = read(opened(sim, "/ws/btcusdt@trade"), 400)
    assert [b["t"] - a["t"] for a, b in pairwise(frames)] == [1] * 399
    assert {f["q"] for f in frames if f["p"] == "0.00000000"} == {"0.00000000"}


def test_what_cannot_be_is_said_plainly(shared: Simulator) -> None:
    port = int(shared.rest_url.rsplit(":", 1)[1])
    with pytest.raises(ServiceError, match="cannot listen on"):
        Simulator("calm", port=port).start()
    with pytest.raises(ServiceError, match="is not started"):
        _ = Simulator(SimulatorSettings()).ws_url
    with pytest.raises(MarketError, match="`NOPE` is not traded here"):
        shared.klines("NOPE", "1m", 0, 1)
