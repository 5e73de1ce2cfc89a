"""What was asked of REST and why, so that an answer finds its question."""

from enum import Enum
from typing import Any

import orjson


class Purpose(Enum):
    """Why REST was asked about a symbol."""

    REPAIR = "repair"
    PROVE = "prove"
    WATCH = "watch"
    JOIN = "join"


class Pages:
    """Open questions by number."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[str, Purpose]] = {}

    def ask(self, request: int, symbol: str, purpose: Purpose) -> None:
        """Note a question."""
        self._open[request] = (symbol, purpose)

    def asked(self, symbol: str, purpose: Purpose) -> bool:
        """Say whether such a question is open."""
        return (symbol, purpose) in self._open.values()

    def answer(self, body: dict[str, Any]) -> tuple[str, Purpose]:
        """Return what an answer is about; an empty symbol if nobody asked."""
        return self._open.pop(body.get("request", 0), ("", Purpose.REPAIR))


def json_object(text: str) -> dict[str, Any]:
    """Return a JSON object, an empty one if the text is none."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
