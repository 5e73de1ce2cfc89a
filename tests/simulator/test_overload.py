"""Clients that do not read, or do not answer."""

import re
import socket as socketlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from simulator.config import SYMBOLS, MarketSettings
from simulator.local import Simulator

Json = dict[str, Any]
Start = Callable[..., Simulator]
Open = Callable[[Simulator, str], ClientConnection]
Read = Callable[..., list[Json]]

DEADLINE = 20.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


class Raw:
    """A client below the protocol: it reads when told, and answers nothing."""

    def __init__(self, sim: Simulator, target: str) -> None:
        self.socket = socketlib.socket()
        self.socket.setsockopt(socketlib.SOL_SOCKET, socketlib.SO_RCVBUF, 8192)
        self.socket.settimeout(DEADLINE)
        host, port = sim.ws_url.removeprefix("ws://").split(":")
        self.socket.connect((host, int(port)))
        lines = [
            f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", "",
        ]  # fmt: skip
        self.socket.sendall("\r\n".join(lines).encode())

    def read_some(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size and (data := self.socket.recv(1 << 16)):
            received += data
        return bytes(received)

    def read_all(self) -> bytes:
        return self.read_some(1 << 40)

    def close(self) -> None:
        self.socket.close()


def busy(**more: object) -> dict[str, Any]:
    symbols = (SYMBOLS[0].model_copy(update={"rate": 5_000.0}), SYMBOLS[1])
    return {"market": MarketSettings(symbols=symbols, history=1), "speed": 4.0, **more}


def ids_in(received: bytes) -> list[int]:
    return [int(number) for number in re.findall(rb'"t":(\d+),"p"', received)]


def test_who_does_not_answer_pings_is_closed(start: Start) -> None:
    sim = start(ping_interval=0.05, pong_timeout=0.1)

    raw = Raw(sim, "/ws")
    received = raw.read_all()
    raw.close()
    assert received.endswith((1008).to_bytes(2, "big") + b"Pong timeout")


@pytest.mark.slow
def test_a_slow_reader_is_cut_and_others_are_not_held_up(
    start: Start, opened: Open, read: Read
) -> None:
    sim = start(**busy(buffer=200_000))
    quick = opened(sim, "/ws/ethusdt@trade")
    slow = Raw(sim, "/ws/btcusdt@trade")
    first = read(quick, 1)[0]["t"]
    until(lambda: sim.connections == 2 and sim.open_connections == 1)
    # What the system held arrives, then the end shows, without a closing frame.
    ids = ids_in(slow.read_all())
    slow.close()
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert [f["t"] for f in read(quick, 100)] == list(range(first + 1, first + 101))


@pytest.mark.slow
def test_with_waiting_a_slow_reader_gets_everything_late(start: Start) -> None:
    sim = start(**busy(buffer=100_000, overflow="wait"))
    slow = Raw(sim, "/ws/btcusdt@trade")
    begin = sim.now_us()
    until(lambda: sim.now_us() > begin + 3_000_000)
    received = slow.read_some(5_000_000)
    slow.close()
    ids = ids_in(received)
    assert len(ids) > 20_000
    assert ids == list(range(ids[0], ids[0] + len(ids)))
