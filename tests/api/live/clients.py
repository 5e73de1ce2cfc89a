"""Clients of live push."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from socket import create_server
from socket import socket as Socket  # noqa: N812 - a class
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect

from client.live import Frame

WAIT_S = 30.0


async def sse(url: str, topics: str, cursor: str | None = None) -> AsyncIterator[Frame]:
    """Yield frames; connects again and resumes as an EventSource does."""
    async with httpx.AsyncClient(timeout=httpx.Timeout(5, read=None)) as client:
        while True:
            headers = {"Last-Event-ID": cursor} if cursor else {}
            with contextlib.suppress(httpx.TransportError):
                async with client.stream(
                    "GET", f"{url}/api/v1/live/sse", params={"topics": topics}, headers=headers
                ) as answer:
                    async for line in answer.aiter_lines():
                        if line.startswith("id: "):
                            cursor = line[4:]
                        if line.startswith("data: "):
                            yield Frame.model_validate_json(line[6:])
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def socket(
    url: str,
    *topics: str,
    cursor: str | None = None,
    **options: Any,  # noqa: ANN401 - of `connect`
) -> AsyncIterator[ClientConnection]:
    """Connect and say hello."""
    address = url.replace("http", "ws", 1) + "/api/v1/live/ws"
    async with connect(address, max_size=None, **options) as found:
        await say(found, op="hello", topics=list(topics), cursor=cursor)
        yield found


@contextlib.contextmanager
def listening() -> Iterator[Socket]:
    """Listen at a free port."""
    with create_server(("127.0.0.1", 0)) as found:
        yield found


async def say(one: ClientConnection, **message: object) -> None:
    await one.send(orjson.dumps(message), text=True)


async def hear(one: ClientConnection, *, ack: bool = True) -> dict[str, Any]:
    """Return the next frame, acknowledged."""
    async with asyncio.timeout(WAIT_S):
        told: dict[str, Any] = orjson.loads(await one.recv())
    if ack and "n" in told:
        await say(one, op="ack", n=told["n"])
    return told


async def hear_nothing(one: ClientConnection, seconds: float = 0.6) -> None:
    """Make sure that no frame comes for some flushes."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            raise AssertionError(await one.recv())
