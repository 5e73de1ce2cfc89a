"""Frames of live push as they come from a socket, read as cheaply as that can be."""

import base64
import os
from collections.abc import Iterator

import orjson

from bench.push_plan import TOPICS, Plan

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class SseWire:
    """Server-sent events over HTTP/1.1: a frame is a line, wherever chunks begin and end."""

    def __init__(self) -> None:
        self._rest = b""

    def opening(self) -> bytes:
        """Return what is sent first."""
        target = f"/api/v1/live/sse?topics={','.join(TOPICS)}"
        return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def read(self, data: bytes) -> Iterator[bytes]:
        """Yield the frames that came."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                yield line[6:]

    def answers(self) -> bytes:
        """Return what is to be sent for what came."""
        return b""


class SocketWire:
    """A WebSocket, RFC 6455: no fragments and no compression, which nobody asked for."""

    def __init__(self) -> None:
        self._rest = b""
        self._open = False
        self._answers = bytearray()

    def opening(self) -> bytes:
        """Return what is sent first."""
        key = base64.b64encode(os.urandom(16)).decode()
        return (
            "GET /api/v1/live/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        ).encode()

    def read(self, data: bytes) -> Iterator[bytes]:
        """Yield the frames that came; each is acknowledged."""
        self._rest += data
        if not self._open:
            _, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            self._open, self._rest = True, rest
            hello = {"op": "hello", "token": None, "cursor": None, "topics": TOPICS}
            self._say(_TEXT, orjson.dumps(hello))
        while (found := _split(self._rest)) is not None:
            opcode, body, self._rest = found
            if opcode == _PING:
                self._say(_PONG, body)
            elif opcode == _TEXT:
                n = orjson.loads(body).get("n", 0)
                self._say(_TEXT, b'{"op":"ack","n":%d}' % n)
                yield body

    def answers(self) -> bytes:
        """Return what is to be sent for what came."""
        found = bytes(self._answers)
        self._answers.clear()
        return found

    def _say(self, opcode: int, body: bytes) -> None:
        # A mask of zeros leaves the body as it is.
        size = len(body)
        head = bytes([0x80 | opcode, 0x80 | min(size, 126)])
        self._answers += head + (size.to_bytes(2, "big") if size > 125 else b"") + bytes(4) + body


def wire(plan: Plan) -> SseWire | SocketWire:
    """Return what a client reads and writes."""
    return SseWire() if plan.transport == "sse" else SocketWire()


def _split(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Return the opcode and the body of the first frame, and what follows; None: not whole."""
    if len(data) < 2:
        return None
    size, at = data[1] & 0x7F, 2
    if size >= 126:
        at = 4 if size == 126 else 10
        size = int.from_bytes(data[2:at], "big")
    if len(data) < at + size:
        return None
    return data[0] & 0x0F, data[at : at + size], data[at + size :]
