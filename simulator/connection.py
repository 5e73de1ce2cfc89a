"""A WebSocket connection that can be frozen and reset, and reports each incoming frame."""

import socket
import struct
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

_COUNTED = {Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG}
_LINGER_NONE = struct.pack("ii", 1, 0)


class Connection(ServerConnection):
    """The server's end of a connection.

    Attributes:
        on_frame: Called for each incoming frame, control frames too.
        frozen: Whether nothing is read; whoever writes has to ask.

    """

    on_frame: Callable[[], None] | None = None
    frozen: bool = False
    _unread: bytes = b""

    def process_event(self, event: Frame | Request) -> None:  # type: ignore[override]  # the base says Event, a union of these and Response
        """Report a frame, then process it."""
        if isinstance(event, Frame) and event.opcode in _COUNTED and self.on_frame:
            self.on_frame()
        super().process_event(event)

    def data_received(self, data: bytes) -> None:
        """Take bytes; the kernel acknowledges them, frozen or not."""
        if self.frozen:
            self._unread += data
        else:
            super().data_received(data)

    def thaw(self) -> None:
        """Read again, what came meanwhile first."""
        self.frozen = False
        data, self._unread = self._unread, b""
        if data:
            super().data_received(data)

    def cut(self) -> None:
        """End TCP without a closing handshake, after what was written."""
        self.transport.close()

    def reset(self) -> None:
        """Reset TCP at once: with no time to linger, closing sends RST."""
        own: socket.socket | None = self.transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self.transport.abort()
