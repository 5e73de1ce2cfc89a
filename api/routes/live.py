"""Live push: topics over SSE and WebSocket."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, WebSocket

from api.live import socket, sse
from api.live.topics import KNOWN, read_topics
from api.problems import ProblemError
from api.security.guard import Reader
from api.services import Services, With
from client.live import Frame

router = APIRouter(prefix="/live", tags=["live"])

_TOPICS = f"Comma-separated, of {', '.join(KNOWN)}; `*` stands for any symbol or interval."


@router.get(
    "/sse",
    response_class=sse.Stream,
    status_code=200,
    responses={200: {"model": Frame, "description": "A frame per event, until either side ends."}},
)
async def stream(
    own: With,
    _caller: Reader,
    topics: Annotated[str, Query(description=_TOPICS)],
    cursor: Annotated[
        str | None, Query(description="Go on behind this place, which a frame named.")
    ] = None,
    last_event_id: Annotated[str | None, Header(description="The same; it wins.")] = None,
) -> sse.Stream:
    """Stream frames as server-sent events: how things stand first, then what comes."""
    wanted = read_topics(topics.split(","))
    if not wanted:
        raise ProblemError(422, "no topics", field="topics", hint=f"there are {', '.join(KNOWN)}")
    return sse.Stream(own.live, wanted, socket.read_cursor(last_event_id or cursor))


@router.websocket("/ws")
async def connect(websocket: WebSocket) -> None:
    """Push frames over a WebSocket; see docs/reference/api-live.md for what is said there."""
    own: Services = websocket.app.state.services
    await socket.serve(websocket, own)
