"""Live push as a client sees it: frames, and `watch`, which goes on by itself.

async for frame in watch("http://127.0.0.1:8000", ["klines/BTCUSDT/1m", "signals"]):
    for event in frame.events:
        print(event.topic, event.fields)
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Collection
from typing import Annotated, Any, TypeAlias

import orjson
from pydantic import Field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from client.models import Model

Fields: TypeAlias = dict[str, str]

_BASE_S, _CAP_S = 0.25, 8.0
_LASTED_S = 10.0
_FINAL = {1003, 1007, 1008, 1009, 4401, 4403}
"""Close codes that another attempt would get again."""


class LiveEvent(Model):
    """An entry of the event lane: a final kline, signal, fill, event or prediction."""

    topic: Annotated[str, Field(description="Such as klines/BTCUSDT/1m or signals.")]
    id: Annotated[str, Field(description="Its place: a cursor.")]
    key: Annotated[str, Field(description="The instrument, such as binance:BTCUSDT.")]
    fields: Annotated[Fields, Field(description="Of the record, see docs/reference/records.md.")]


class LiveTape(Model):
    """The trades of a topic since the last frame."""

    trades: Annotated[list[Fields], Field(description="The last of them, at most 50.")]
    skipped: Annotated[int, Field(description="How many came and are not shown.")] = 0
    total: Annotated[int, Field(description="How many came since the topic was asked for.")] = 0


class Frame(Model):
    """What came since the last frame; the first one says how things stand."""

    n: Annotated[int, Field(description="Rises by one; to be acknowledged over a WebSocket.")]
    time_ms: Annotated[int, Field(description="When it was made, by the server's clock.")]
    cursor: Annotated[
        str | None, Field(description="The place in the event lane: resume with it.")
    ] = None
    events: Annotated[list[LiveEvent], Field(default_factory=list, description="All, in order.")]
    latest: Annotated[
        dict[str, Any],
        Field(
            default_factory=dict,
            description="Values that changed, by topic: klines, status; and by key: ticker; and "
            "by key and instance: equity.",
        ),
    ]
    tape: Annotated[
        dict[str, LiveTape], Field(default_factory=dict, description="Trades, by topic.")
    ]
    reset: Annotated[
        bool, Field(description="Events are lost, the cursor was too old: fetch anew.")
    ] = False


class LiveError(Exception):
    """The server refuses what was asked for.

    Args:
        status: As of HTTP.
        detail: What is wrong.
        hint: The way out.

    """

    def __init__(self, status: int, detail: str, hint: str = "") -> None:
        super().__init__(status, detail, hint)
        self.status, self.detail, self.hint = status, detail, hint

    def __str__(self) -> str:
        """Return what is wrong, and the way out."""
        return f"{self.detail} ({self.status})" + (f"\nhint: {self.hint}" if self.hint else "")


async def watch(
    url: str,
    topics: Collection[str],
    *,
    token: str | None = None,
    cursor: str | None = None,
) -> AsyncIterator[Frame]:
    """Yield frames for as long as they are taken; connects again by itself, and resumes.

    A frame is acknowledged when the next one is asked for: who is slow gets fewer and newer ones.

    Args:
        url: Of the API, such as http://127.0.0.1:8000.
        topics: What is wanted.
        token: With the scope ``read``, where tokens are needed.
        cursor: Where an earlier watch left off; None: from now on.

    Raises:
        LiveError: The server refuses it, now or later.

    """
    address = f"{url.rstrip('/').replace('http', 'ws', 1)}/api/v1/live/ws"
    losses = 0
    while True:
        began = time.monotonic()
        try:
            async with connect(address, max_size=None) as socket:
                async for frame in _frames(socket, topics, token, cursor):
                    cursor = frame.cursor or cursor
                    yield frame
        except ConnectionClosed as error:
            if error.rcvd is not None and error.rcvd.code in _FINAL:
                raise LiveError(error.rcvd.code, error.rcvd.reason) from None
        except InvalidHandshake as error:
            _look_at(error)
        except (OSError, TimeoutError):
            pass  # it is away, or on its way
        losses = 1 if time.monotonic() - began > _LASTED_S else losses + 1
        await asyncio.sleep(min(_CAP_S, _BASE_S * 2.0 ** min(losses, 10)) * random.random())


async def _frames(
    socket: ClientConnection, topics: Collection[str], token: str | None, cursor: str | None
) -> AsyncIterator[Frame]:
    hello = {"op": "hello", "token": token, "cursor": cursor, "topics": list(topics)}
    await socket.send(orjson.dumps(hello), text=True)
    async for text in socket:
        told = orjson.loads(text)
        if "error" in told:
            wrong = told["error"]
            if wrong["status"] != 503:  # which passes
                raise LiveError(wrong["status"], wrong["detail"], wrong.get("hint", ""))
            continue
        frame = Frame.model_validate(told)
        yield frame
        await socket.send(orjson.dumps({"op": "ack", "n": frame.n}), text=True)


def _look_at(error: InvalidHandshake) -> None:
    answer = getattr(error, "response", None)
    if answer is not None and answer.status_code in {401, 403, 404}:
        raise LiveError(answer.status_code, f"{error}") from None
