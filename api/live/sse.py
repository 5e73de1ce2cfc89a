"""Live push as server-sent events: the same frames for curl, scripts and whoever reads lines.

There is no credit here, and a browser hides from us how far it is behind: dashboards use the
WebSocket. What is not read in time ends the connection; the client resumes by itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import anyio
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.types import Receive, Scope, Send

from api.live.hub import Hub
from api.live.session import Session
from api.live.tail import Id

RETRY_MS = 1000
PING_S = 15.0
SEND_S = 20.0
"""How long a frame may wait for the client to read."""

GRACE_S = 1.0
"""How long a stream has to end by itself when the process ends."""


class Stream(EventSourceResponse):
    """Streams to a client, who is connected to the hub for as long as that lasts.

    Args:
        hub: What there is.
        topics: What the client asked for.
        cursor: Where it left off.

    """

    def __init__(self, hub: Hub, topics: frozenset[str], cursor: Id | None) -> None:
        self._ending = anyio.Event()
        super().__init__(
            _nothing(),
            ping=PING_S,
            send_timeout=SEND_S,
            ping_message_factory=_ping,
            shutdown_event=self._ending,
            shutdown_grace_period=GRACE_S,
        )
        self._hub, self._topics, self._cursor = hub, topics, cursor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until either side ends it."""
        async with self._hub.session(self._topics, self._cursor, "sse") as session:
            self.body_iterator = self._lines(session)
            stirring = asyncio.create_task(self._stir(session))
            try:
                with contextlib.suppress(SendTimeoutError):
                    await super().__call__(scope, receive, send)
            finally:
                stirring.cancel()

    async def _lines(self, session: Session) -> AsyncIterator[bytes]:
        yield b"retry: %d\n\n" % RETRY_MS
        while not self._ending.is_set():
            body = await session.frame()
            if body is not None:
                cursor = session.follower.cursor
                place = b"id: %s\n" % cursor.encode() if cursor else b""
                yield b"%sdata: %s\n\n" % (place, body)
            await session.news()

    async def _stir(self, session: Session) -> None:
        await self._ending.wait()
        session.wake.set()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _ping() -> ServerSentEvent:
    return ServerSentEvent(comment="ping", sep="\n")
