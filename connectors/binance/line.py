"""One WebSocket connection: dials, reads, sends, and says how it ended."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from connectors.binance.config import BinanceConfig

SEND_SPACING_S = 0.5
"""Between two messages: Binance counts pongs and requests together, five a second."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer to the handshake."""

    status: int
    retry_after: str | None


class Line:
    """One connection, from dialling to its end.

    Attributes:
        number: Of the connection within the run.
        opened: Whether the handshake succeeded.
        refusal: The HTTP answer, if the handshake was refused.

    """

    def __init__(self, number: int, config: BinanceConfig) -> None:
        self.number = number
        self.opened = False
        self.refusal: Refusal | None = None
        self._config = config
        self._socket: ClientConnection | None = None
        self._sends: asyncio.Queue[str] = asyncio.Queue()
        self._hangup = ""

    async def run(
        self, feed: Callable[[str, str], None], wait_for_room: Callable[[], Awaitable[None]]
    ) -> str:
        """Connect and read until the end; return why it ended.

        Args:
            feed: Takes ``open`` and every ``frame`` as text.
            wait_for_room: Waited for after each frame: back-pressure.

        """
        config = self._config
        try:
            async with connect(
                config.stream_url,
                open_timeout=config.connect_timeout,
                close_timeout=1.0,
                ping_interval=config.ping_seconds,
                ping_timeout=config.ping_seconds,
                max_queue=1024,
                compression=None,
            ) as socket:
                self.opened, self._socket = True, socket
                feed("open", "")
                return await self._read(socket, feed, wait_for_room)
        except InvalidStatus as error:
            headers = error.response.headers
            self.refusal = Refusal(error.response.status_code, headers.get("Retry-After"))
            return f"{type(error).__name__}: {error}"
        except (OSError, TimeoutError, InvalidHandshake) as error:
            return f"lost: {error}" if self.opened else f"{type(error).__name__}: {error}"
        finally:
            self._socket = None

    def send(self, text: str) -> None:
        """Queue a message; messages go out at the rate that the exchange allows."""
        self._sends.put_nowait(text)

    async def hang_up(self, reason: str) -> None:
        """Close the connection, or give up dialling."""
        self._hangup = reason
        if self._socket is not None:
            await self._socket.close(reason=reason[:100])

    async def _read(
        self,
        socket: ClientConnection,
        feed: Callable[[str, str], None],
        wait_for_room: Callable[[], Awaitable[None]],
    ) -> str:
        sender = asyncio.create_task(self._send_all(socket))
        try:
            while True:
                try:
                    text = await socket.recv(decode=True)
                except UnicodeDecodeError:
                    text = ""  # an empty frame is quarantined like any other garbage
                feed("frame", text)
                await wait_for_room()
        except ConnectionClosed as error:
            return self._hangup or str(error)
        finally:
            sender.cancel()

    async def _send_all(self, socket: ClientConnection) -> None:
        while True:
            text = await self._sends.get()
            with contextlib.suppress(ConnectionClosed):
                await socket.send(text)
            await asyncio.sleep(SEND_SPACING_S)
