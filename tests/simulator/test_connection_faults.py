"""What a plain client sees of each fault of connections, requests and streams."""

import json
import socket as sockets
import time
from base64 import b64encode
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from simulator.config import LimitSettings
from simulator.faults import parse_fault
from simulator.local import Simulator

Json = dict[str, Any]
Start = Callable[..., Simulator]
Open = Callable[[Simulator, str], ClientConnection]
Read = Callable[..., list[Json]]
Ask = Callable[..., Json]
Drain = Callable[[ClientConnection], tuple[list[Json], ConnectionClosed]]

BTC = "btcusdt@trade"
DEADLINE = 20.0


def faulty(*texts: str) -> tuple[Any, ...]:
    return tuple(parse_fault(text) for text in texts)


def subscribe(*names: str) -> str:
    return json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1})


def silent(socket: ClientConnection, seconds: float = 0.3) -> bool:
    try:
        socket.recv(timeout=seconds)
    except TimeoutError:
        return True
    return False


def contiguous(ids: list[int]) -> bool:
    return ids == list(range(ids[0], ids[0] + len(ids)))


def test_a_reset_is_an_error_of_tcp_and_the_next_connection_goes_on(
    start: Start, opened: Open, read: Read, drain: Drain
) -> None:
    sim = start(faults=faulty("reset@frames=40"))
    _, closed = drain(opened(sim, f"/ws/{BTC}"))
    assert closed.rcvd is None
    assert isinstance(closed.__cause__, ConnectionResetError)
    assert read(opened(sim, f"/ws/{BTC}"), 100)


def test_a_drop_is_no_error_of_tcp(start: Start, opened: Open, drain: Drain) -> None:
    _, closed = drain(opened(start(faults=faulty("drop@frames=40")), f"/ws/{BTC}"))
    assert not isinstance(closed.__cause__, ConnectionResetError)


def test_a_half_open_connection_answers_nothing_while_rest_does(
    start: Start, opened: Open, read: Read
) -> None:
    sim = start(
        faults=faulty("halfopen@frames=40,connection=1"), ping_interval=0.05, pong_timeout=0.1
    )
    socket = opened(sim, f"/ws/{BTC}")
    assert contiguous([frame["t"] for frame in read(socket, 40)])
    assert silent(socket, 0.5)
    pong = socket.ping()
    socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 1}))
    assert not pong.wait(0.3)
    assert silent(socket)
    assert sim.open_connections == 1
    assert httpx.get(f"{sim.rest_url}/api/v3/ping").status_code == 200
    assert read(opened(sim, f"/ws/{BTC}"), 60)


def test_a_connection_that_heals_brings_what_was_due_and_hears_what_was_said(
    start: Start, opened: Open, read: Read
) -> None:
    sim = start(faults=faulty("halfopen@frames=40,for=20s"))
    socket = opened(sim, f"/ws/{BTC}")
    frames = read(socket, 40)
    pong = socket.ping()
    begin = sim.now_us()
    frames += read(socket, 300)
    assert sim.now_us() - begin > 15_000_000
    assert contiguous([frame["t"] for frame in frames])
    assert pong.wait(DEADLINE)


def test_a_connection_is_closed_with_any_code_and_reason(
    start: Start, opened: Open, drain: Drain
) -> None:
    sim = start(faults=faulty("close@frames=40,code=1008,reason=Too many requests"))
    frames, closed = drain(opened(sim, f"/ws/{BTC}"))
    assert len(frames) == 40
    assert closed.rcvd is not None
    assert (closed.rcvd.code, closed.rcvd.reason) == (1008, "Too many requests")


def test_every_connection_ends_after_its_day(start: Start, opened: Open, drain: Drain) -> None:
    sim = start(faults=faulty("close@after=20s,per=connection"))
    for _ in range(2):
        begin = sim.now_us()
        _, closed = drain(opened(sim, f"/ws/{BTC}"))
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1001
        assert sim.now_us() - begin >= 20_000_000


@pytest.mark.parametrize("begins", ["after=5s", "frames=60"])
def test_an_announced_shutdown_closes_when_its_lead_is_over(
    start: Start, opened: Open, drain: Drain, read: Read, begins: str
) -> None:
    sim = start(faults=faulty(f"shutdown@{begins},lead=10s"))
    first = opened(sim, f"/stream?streams={BTC}")
    frames, closed = drain(first)
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1001
    said = [n for n, frame in enumerate(frames) if frame["stream"] == "!serverShutdown"]
    assert len(said) == 1
    before, after = frames[said[0] - 1]["data"]["E"], frames[-1]["data"]["E"]
    assert 9_000 < after - before < 11_000
    assert "stream" in read(opened(sim, f"/stream?streams={BTC}"), 50)[0]


def test_without_a_lead_a_shutdown_is_only_announced(
    start: Start, opened: Open, read: Read
) -> None:
    sim = start(faults=faulty("shutdown@frames=10,shape=raw"))
    frames = read(opened(sim, f"/ws/{BTC}"), 500)
    assert [f["e"] for f in frames].count("serverShutdown") == 1


def test_a_mute_stream_is_acknowledged_and_listed_and_says_nothing_on_that_connection(
    start: Start, opened: Open, ask: Ask, read: Read
) -> None:
    sim = start(faults=faulty(f"mute@stream={BTC},connection=1"))
    socket = opened(sim, "/stream")
    names = [BTC, "ethusdt@trade"]
    request = {"method": "SUBSCRIBE", "params": names, "id": 1}
    assert ask(socket, request) == {"result": None, "id": 1}
    assert {frame["stream"] for frame in read(socket, 200)} == {"ethusdt@trade"}
    assert ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": 2})["result"] == names
    assert read(opened(sim, f"/ws/{BTC}"), 5)


def test_a_late_answer_comes_behind_its_data(start: Start, opened: Open, read: Read) -> None:
    sim = start(faults=faulty("ack@delay=10s"))
    socket = opened(sim, "/ws")
    begin = sim.now_us()
    socket.send(subscribe(BTC))
    frames = read(socket, last=lambda frame: "result" in frame)
    assert len(frames) > 10
    assert sim.now_us() - begin >= 10_000_000


def test_an_answer_is_lost_or_the_request_itself(start: Start, opened: Open, read: Read) -> None:
    sim = start(faults=faulty("ack@lose=answer,connection=1", "ack@lose=request,connection=2"))
    first = opened(sim, "/ws")
    first.send(subscribe(BTC))
    assert all("e" in frame for frame in read(first, 100))
    second = opened(sim, "/ws")
    second.send(subscribe(BTC))
    assert silent(second)
    second.send(subscribe(BTC))
    assert read(second, 1)[0] == {"result": None, "id": 1}


def test_a_long_request_waits_and_one_that_fits_does_not(
    start: Start, opened: Open, ask: Ask, read: Read
) -> None:
    sim = start(faults=faulty("slowack"))
    for count, slow in ((200, False), (260, True)):
        socket = opened(sim, "/ws")
        request = subscribe(BTC, *(f"n{i:05}usdt@trade" for i in range(count)))
        assert (len(request) > 4096) is slow
        begin = sim.now_us()
        socket.send(request)
        frames = read(socket, last=lambda frame: "result" in frame)
        assert (sim.now_us() - begin >= 15_000_000) is slow
        assert len(frames) == 1 or not slow
        assert read(socket, 1)[0]["s"] == "BTCUSDT"


def test_neighbours_of_one_millisecond_are_swapped_and_none_is_lost(
    start: Start, opened: Open, read: Read
) -> None:
    sim = start(faults=faulty(f"reorder@frames=50,count=7,stream={BTC}"))
    frames = read(opened(sim, f"/stream?streams={BTC}/ethusdt@trade"), 600)
    told = [f["data"] for f in frames if f["stream"] == BTC]
    swaps = [(a, b) for a, b in pairwise(told) if b["t"] < a["t"]]
    assert len(swaps) == 7
    assert all(a["t"] == b["t"] + 1 and a["E"] == b["E"] for a, b in swaps)
    assert sorted(f["t"] for f in told) == list(range(told[0]["t"], told[0]["t"] + len(told)))
    others = [f["data"]["t"] for f in frames if f["stream"] != BTC]
    assert contiguous(others)


def test_late_frames_come_in_one_burst_as_they_were(start: Start, opened: Open, read: Read) -> None:
    sim = start(faults=faulty(f"late@frames=30,for=6s,stream={BTC}"))
    frames = read(opened(sim, f"/stream?streams={BTC}/dogebtc@kline_1s"), 400)
    told = [f["data"]["t"] for f in frames if f["stream"] == BTC]
    assert contiguous(told)
    events = [f["data"]["E"] for f in frames]
    ahead = max(a - b for a, b in pairwise(events))
    assert 4_000 < ahead < 7_000


def test_a_wrong_clock_stamps_events_and_the_servers_time_and_nothing_else(
    start: Start, opened: Open, read: Read
) -> None:
    sim = start(faults=faulty("skew@by=-3s,after=20s,for=20s"))
    names = f"/stream?streams={BTC}/btcusdt@kline_1s/ethusdt@aggTrade"
    frames = [f["data"] for f in read(opened(sim, names), last=late(sim.start_us + 50_000_000))]
    begin, end = (sim.start_us // 1000 + s * 1000 for s in (20, 40))
    trades = [f for f in frames if "T" in f]
    assert contiguous([f["t"] for f in frames if f["e"] == "trade"])
    for frame in trades:
        if begin + 300 < frame["T"] < end - 300:
            assert frame["E"] < frame["T"]
        elif not begin - 300 < frame["T"] < end + 300:
            assert 0 <= frame["E"] - frame["T"] <= 220
    klines = [f for f in frames if f["e"] == "kline"]
    assert {f["E"] - f["k"]["T"] - 1 < 0 for f in klines} == {True, False}


def late(time_us: int) -> Callable[[Json], bool]:
    return lambda frame: frame["data"].get("T", 0) > time_us // 1000


def test_the_servers_time_is_wrong_for_as_long_as_told(start: Start) -> None:
    sim = start(speed=1.0, faults=faulty("skew@by=90m"))
    told = httpx.get(f"{sim.rest_url}/api/v3/time").json()["serverTime"]
    assert 5_395_000 < told - sim.now_us() // 1000 < 5_401_000
    us = httpx.get(f"{sim.rest_url}/api/v3/time", headers={"X-MBX-TIME-UNIT": "MICROSECOND"})
    assert us.json()["serverTime"] > 1000 * told


def test_who_does_not_answer_pings_is_closed_with_that_reason(start: Start) -> None:
    sim = start(ping_interval=0.05, pong_timeout=0.2)
    host, port = sim.ws_url.removeprefix("ws://").split(":")
    key = b64encode(b"0123456789abcdef").decode()
    with sockets.create_connection((host, int(port)), timeout=DEADLINE) as plain:
        plain.sendall(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        heard = b""
        while b"Pong timeout" not in heard:
            part = plain.recv(4096)
            assert part, heard
            heard += part
        assert heard.startswith(b"HTTP/1.1 101")
        pings = heard.count(b"\x89")
        assert pings == 1
        assert b"\x88\x0e\x03\xf0Pong timeout" in heard


def test_a_lower_limit_of_messages_is_met_sooner(start: Start, opened: Open, drain: Drain) -> None:
    socket = opened(start(limits=LimitSettings(messages=1)), "/ws")
    for number in range(2):
        socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
    _, closed = drain(socket)
    assert closed.rcvd is not None
    assert closed.rcvd.reason == "Too many requests"


def test_a_frozen_connection_does_not_hold_up_the_end_of_the_exchange(
    opened: Open, start: Start
) -> None:
    sim = start(faults=faulty("halfopen@frames=5", "slowack@over=0,delay=10h,connection=2"))
    frozen, waiting = opened(sim, f"/ws/{BTC}"), opened(sim, "/ws")
    for _ in range(5):
        frozen.recv(timeout=DEADLINE)
    waiting.send(subscribe(BTC))
    begin = time.monotonic()
    sim.stop()
    assert time.monotonic() - begin < 10
