"""Live push over a WebSocket: the reader owns the connection, the sender lives within it.

A client is owed at most two frames that it has not acknowledged. One that does not paint (a hidden
tab, a slow machine) is sent no more, and then the newest state instead of all that it missed.
"""

import asyncio
import contextlib
import logging
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api.live import frames
from api.live.session import Session
from api.live.tail import Id, parse_id
from api.live.tasks import end
from api.live.topics import read_topics
from api.problems import ProblemError
from api.security.guard import authenticate
from api.services import Services

LOG = logging.getLogger("cryptotools.api.live")

CREDIT = 2
"""Frames on their way at once."""

MESSAGE_BYTES = 65_536
"""The largest message of a client."""

_HELLO_S = 10.0
_SEND_S = 30.0
_CLOSE = {401: 4401, 403: 4403, 413: 1009, 429: 4429, 503: 1013}
"""Close codes by status; others are policy violations."""

_Topics = Annotated[list[str], Field(max_length=1000)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Hello(_Message):
    """The first message of a client."""

    op: Literal["hello"]
    token: str | None = None
    cursor: str | None = None
    topics: _Topics = []


class Subscription(_Message):
    """More topics, or fewer."""

    op: Literal["subscribe", "unsubscribe"]
    topics: _Topics


class Ack(_Message):
    """A frame was dealt with, and those before it."""

    op: Literal["ack"]
    n: int


_MESSAGE: TypeAdapter[Hello | Subscription | Ack] = TypeAdapter(
    Annotated[Hello | Subscription | Ack, Field(discriminator="op")]
)


class Credit:
    """How many frames may be sent.

    Args:
        most: That are not acknowledged.

    """

    def __init__(self, most: int = CREDIT) -> None:
        self._most = most
        self._sent = self._acked = 0
        self._free = asyncio.Event()
        self._free.set()

    async def wait(self) -> None:
        """Wait until a frame may be sent."""
        await self._free.wait()

    def sent(self, n: int) -> None:
        """Note that a frame was sent."""
        self._sent = n
        self._look()

    def ack(self, n: int) -> None:
        """Note that a frame was acknowledged; one that was before, or never sent, is not."""
        if self._acked < n <= self._sent:
            self._acked = n
        self._look()

    def _look(self) -> None:
        if self._sent - self._acked < self._most:
            self._free.set()
        else:
            self._free.clear()


def is_allowed(origin: str | None, host: str | None, origins: tuple[str, ...]) -> bool:
    """Return whether a page of this origin may connect; what is no browser names none."""
    if origin is None:
        return True
    if origin in origins or "*" in origins:
        return True
    return bool(host) and urlsplit(origin).netloc.lower() == str(host).lower()


def read_cursor(text: str | None) -> Id | None:
    """Return a cursor as a place; an empty one is none.

    Raises:
        ProblemError: It cannot be one.

    """
    try:
        return parse_id(text) if text else None
    except ValueError:
        hint = "give back what a frame named, or none"
        raise ProblemError(422, f"no cursor: `{text}`", field="cursor", hint=hint) from None


async def serve(socket: WebSocket, own: Services) -> None:
    """Serve a client until either side ends it."""
    origins = own.settings.api.cors_origins
    if not is_allowed(socket.headers.get("origin"), socket.headers.get("host"), origins):
        await socket.close(4403, "origin")  # before it is accepted: an answer of 403
        return
    await socket.accept()
    try:
        with contextlib.suppress(WebSocketDisconnect):
            await _converse(socket, own)
    except ProblemError as error:
        await _refuse(socket, error)


async def _converse(socket: WebSocket, own: Services) -> None:
    try:
        async with asyncio.timeout(_HELLO_S):
            hello = await _receive(socket)
    except TimeoutError:
        raise ProblemError(408, f"no hello within {_HELLO_S:g} s", field="op") from None
    if not isinstance(hello, Hello):
        raise ProblemError(400, f"`{hello.op}` before `hello`", field="op")
    caller = authenticate(own, hello.token)
    socket.state.caller = caller.name
    if "read" not in caller.scopes:
        raise ProblemError(403, "the token may not read", hint="use one with the scope read")
    topics, cursor = read_topics(hello.topics), read_cursor(hello.cursor)
    async with own.live.session(topics, cursor) as session:
        credit = Credit()
        sender = asyncio.create_task(_send(socket, session, credit))
        try:
            await _read(socket, session, credit, sender)
        finally:
            await end([sender])
        await _give_up(socket, sender)


async def _give_up(socket: WebSocket, sender: "asyncio.Task[None]") -> None:
    """Close the connection of one who takes nothing, or whom we failed."""
    error = None if sender.cancelled() else sender.exception()
    if error is not None and not isinstance(error, TimeoutError | WebSocketDisconnect):
        LOG.error("a live client could not be served", exc_info=error)
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(1.0):
            await socket.close(1011)


async def _read(
    socket: WebSocket, session: Session, credit: Credit, sender: "asyncio.Task[None]"
) -> None:
    while True:
        receiving = asyncio.create_task(_receive(socket))
        try:
            await asyncio.wait({receiving, sender}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end([receiving])
        if receiving.cancelled():
            return  # the sender has ended: nobody listens
        message = receiving.result()
        if isinstance(message, Ack):
            credit.ack(message.n)
        elif isinstance(message, Subscription):
            await _obey(socket, session, message)
        else:
            raise ProblemError(400, "`hello` comes once", field="op", hint="use `subscribe`")


async def _obey(socket: WebSocket, session: Session, message: Subscription) -> None:
    try:
        if message.op == "subscribe":
            await session.subscribe(message.topics)
        else:
            session.unsubscribe(message.topics)
    except ProblemError as error:  # of no harm: what was asked for before goes on
        await _tell(socket, error)


async def _send(socket: WebSocket, session: Session, credit: Credit) -> None:
    while True:
        await credit.wait()
        await session.news()
        body = await session.frame()
        if body is None:
            continue
        credit.sent(session.n)
        async with asyncio.timeout(_SEND_S):
            await socket.send_text(body.decode())


async def _receive(socket: WebSocket) -> Hello | Subscription | Ack:
    message: dict[str, Any] = dict(await socket.receive())
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    text = message.get("text")
    if text is None:
        raise ProblemError(400, "a message that is no text", hint="send JSON")
    if len(text) > MESSAGE_BYTES:
        raise ProblemError(413, f"a message of {len(text)} characters, at most {MESSAGE_BYTES}")
    try:
        return _MESSAGE.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        hint = '{"op":"hello"…}, {"op":"subscribe"…}, {"op":"unsubscribe"…} or {"op":"ack","n":1}'
        raise ProblemError(400, str(first["msg"]), field=where, hint=hint) from None


async def _tell(socket: WebSocket, error: ProblemError) -> None:
    body = frames.error(error.status, error.detail, error.field, error.hint)
    await socket.send_text(body.decode())


async def _refuse(socket: WebSocket, error: ProblemError) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it may be gone by now
        await _tell(socket, error)
        await socket.close(_CLOSE.get(error.status, 1008), error.detail[:100])
