"""Faults on real sockets: what a client sees of each, and scenarios as a whole."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from simulator.config import MarketSettings
from simulator.faults import parse_fault
from simulator.local import Simulator
from simulator.scenarios import scenario, scenarios

Json = dict[str, Any]
Start = Callable[..., Simulator]
Open = Callable[[Simulator, str], ClientConnection]
Read = Callable[..., list[Json]]
Drain = Callable[[ClientConnection], tuple[list[Json], ConnectionClosed]]

DEADLINE = 20.0


def faulty(*texts: str) -> tuple[Any, ...]:
    return tuple(parse_fault(text) for text in texts)


def ends_abruptly(socket: ClientConnection) -> bool:
    """Read until the connection ends, whatever comes; say whether it ended without a goodbye."""
    while True:
        try:
            socket.recv(timeout=DEADLINE)
        except ConnectionClosed as closed:
            return closed.rcvd is None


def test_a_drop_cuts_without_goodbye_and_the_next_connection_goes_on(
    start: Start, opened: Open, read: Read, drain: Drain
) -> None:
    sim = start(faults=faulty("drop@frames=40"))
    frames, closed = drain(opened(sim, "/ws/btcusdt@trade"))
    assert len(frames) == 40
    assert closed.rcvd is None
    assert read(opened(sim, "/ws/btcusdt@trade"), 100)[0]["t"] > frames[-1]["t"]
    assert sim.connections == 2


def test_a_drop_by_time_needs_no_frame(start: Start, opened: Open, drain: Drain) -> None:
    sim = start(faults=faulty("drop@after=5s,per=connection"))
    for stream in ("dogebtc@aggTrade", "btcusdt@trade"):
        begin = sim.now_us()
        frames, closed = drain(opened(sim, f"/ws/{stream}"))
        assert closed.rcvd is None
        assert sim.now_us() > begin + 5_000_000
        assert not frames or stream == "btcusdt@trade"


def test_skipped_and_doubled_frames_are_those_of_their_stream(
    start: Start, opened: Open, read: Read
) -> None:
    sim = start(
        faults=faulty(
            "skip@frames=50,count=3,stream=btcusdt@trade",
            "duplicate@frames=20,count=2,stream=ethusdt@trade",
        )
    )
    frames = read(opened(sim, "/stream?streams=btcusdt@trade/ethusdt@trade"), 500)
    ids = {
        name: [f["data"]["t"] for f in frames if f["stream"] == f"{name}@trade"]
        for name in ("btcusdt", "ethusdt")
    }
    btc, eth = ids["btcusdt"], ids["ethusdt"]
    assert [b - a for a, b in pairwise(btc)].count(1) == len(btc) - 2
    assert btc[50] == btc[49] + 4
    assert [b - a for a, b in pairwise(eth[18:26])] == [1, 1, 0, 1, 0, 1, 1]


def test_garbage_of_each_kind_arrives_among_the_frames(start: Start, opened: Open) -> None:
    sim = start(faults=faulty("garbage@frames=5"))
    socket = opened(sim, "/ws/btcusdt@trade")
    texts = [str(socket.recv(timeout=DEADLINE)) for _ in range(30)]
    assert [i for i, text in enumerate(texts) if '"s":"BTCUSDT","t":52' not in text] == [
        5, 7, 9, 11, 13,
    ]  # fmt: skip
    assert texts[13].startswith('[{"id":')
    with pytest.raises(json.JSONDecodeError):
        json.loads(texts[5])


def test_handshakes_are_refused_as_often_as_told(start: Start, opened: Open, read: Read) -> None:
    sim = start(faults=faulty("refuse@attempts=2,status=503"))
    for _ in range(2):
        with pytest.raises(InvalidStatus, match="503"):
            opened(sim, "/ws/btcusdt@trade")
    assert read(opened(sim, "/ws/btcusdt@trade"), 1)


def test_all_connections_are_cut_on_command(
    start: Start, opened: Open, read: Read, drain: Drain
) -> None:
    sim = start()
    sockets = [opened(sim, "/ws/btcusdt@trade") for _ in range(3)]
    for socket in sockets:
        read(socket, 1)
    assert sim.drop_all() == 3
    assert all(drain(socket)[1].rcvd is None for socket in sockets)


@pytest.mark.slow
@pytest.mark.parametrize("name", scenarios())
def test_every_scenario_serves(name: str, opened: Open, read: Read) -> None:
    with Simulator(name) as sim:
        symbol = sim.settings.market.symbols[0].symbol.lower()
        assert read(opened(sim, f"/ws/{symbol}@kline_1s"), 1)


@pytest.mark.slow
def test_chaos_disconnects_three_times_and_then_lets_be(opened: Open, read: Read) -> None:
    settings = scenario("chaos").settings.model_copy(
        update={"market": MarketSettings(history=1), "speed": 60.0}
    )
    streams = "/stream?streams=btcusdt@trade/ethusdt@trade"
    cuts = refused = 0
    with Simulator(settings) as sim:
        while cuts < 3:
            try:
                socket = opened(sim, streams)
            except InvalidStatus:
                refused += 1
                continue
            assert ends_abruptly(socket)
            cuts += 1
        assert refused == 2
        assert len(read(opened(sim, streams), 1200)) == 1200
