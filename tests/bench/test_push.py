"""The bench of live push: it counts every event at every client, and says so when one is wrong."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.push import PushError, push
from bench.push_clients import Client, Tally
from bench.push_plan import Plan, Transport
from bench.push_wire import SocketWire, SseWire


@pytest.mark.parametrize("transport", ["sse", "ws"])
def test_few_clients_beside_stalled_ones_get_each_event_once(transport: Transport) -> None:
    rows = push(clients=5, rate=10, stalled=2, seconds=1.5, transport=transport)
    found = {row.name.partition(", ")[2]: row.value for row in rows}
    assert found["events per client"] == 10
    assert 0 < found["events, p50"] <= found["events, p99"] <= found["events, max"]
    assert found["peak memory of the API"] > 10
    assert found["frames"] > 0
    assert any("beside 2 stalled, events, p99" in row.name for row in rows)


class _Transport:
    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data


def client(plan: Plan, tally: Tally) -> Client:
    found = Client(7, plan, tally)
    found.connection_made(_Transport())  # type: ignore[arg-type]  # what a client uses of one
    return found


def frame(*numbers: int, **more: Any) -> bytes:  # noqa: ANN401 - fields of a frame
    fields = [{"run": "0", "n": str(n), "sent_ns": "0"} for n in numbers]
    body = {"n": 1, "events": [{"fields": one} for one in fields], "latest": {}, **more}
    return b"data: %s\n\n" % orjson.dumps(body)


@pytest.mark.parametrize(
    ("came", "fault"),
    [
        ([(1, 2), (2,)], "given event 2 where 3 comes"),
        ([(1,), (3,)], "given event 3 where 2 comes"),
        ([(2, 1)], "given event 2 where 1 comes"),
    ],
)
def test_what_is_doubled_lost_or_out_of_order_is_a_fault(
    came: list[tuple[int, ...]], fault: str
) -> None:
    tally = Tally()
    own = client(Plan(), tally)
    for numbers in came:
        own.data_received(frame(*numbers))
    assert fault in tally.faults[0]
    assert "client 7" in tally.faults[0]


def test_what_a_client_is_told_to_fetch_anew_and_a_cut_are_faults() -> None:
    tally = Tally()
    own = client(Plan(), tally)
    own.data_received(frame(1))
    own.data_received(frame(reset=True))
    own.connection_lost(None)
    assert "reset" in tally.faults[0]
    assert tally.faults[1] == "client 7 was cut off before event 2"
    assert "client 7 was cut off" in str(PushError(tally.faults, "1 of 9 came"))


@given(
    sizes=st.lists(st.sampled_from([0, 1, 110, 111, 112, 300]), min_size=1, max_size=4),
    large=st.booleans(),
    piece=st.integers(1, 40),
)
def test_frames_are_whole_wherever_the_network_cuts_them(
    sizes: list[int], large: bool, piece: int
) -> None:
    bodies = [*sizes, 66_000] if large else sizes
    piece = piece * 997 if large else piece
    texts = [orjson.dumps({"n": n, "x": "y" * size}) for n, size in enumerate(bodies)]
    sse = b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(b"9\r\nid: 1\ndata: %s\n\n\r\n" % t for t in texts)
    ws = b"HTTP/1.1 101 Switching\r\n\r\n" + b"".join(_unmasked(1, text) for text in texts)
    for wire, data in ((SseWire(), sse), (SocketWire(), ws)):
        parts = [data[at : at + piece] for at in range(0, len(data), piece)]
        assert [body for part in parts for body in wire.read(part)] == texts


def _unmasked(opcode: int, body: bytes) -> bytes:
    size = len(body)
    if size < 126:
        return bytes([0x80 | opcode, size]) + body
    if size < 1 << 16:
        return bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big") + body
    return bytes([0x80 | opcode, 127]) + size.to_bytes(8, "big") + body


def test_a_ping_is_answered_and_every_frame_acknowledged() -> None:
    wire = SocketWire()
    assert b"Upgrade: websocket" in wire.opening()
    assert list(wire.read(b"HTTP/1.1 101 x\r\n\r\n")) == []
    assert b'"op":"hello"' in wire.answers()
    assert list(wire.read(_unmasked(9, b"hi") + _unmasked(1, b'{"n":12}'))) == [b'{"n":12}']
    ack = b'{"op":"ack","n":12}'
    assert wire.answers() == b"\x8a\x82\0\0\0\0hi" + bytes([0x81, 0x80 | len(ack)]) + bytes(4) + ack
