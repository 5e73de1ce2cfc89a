"""What a client asks on the socket, and what the exchange answers: one connection's state, no I/O.

Texts and codes are those of binance-spot-api-docs, web-socket-streams.md ("Error Messages");
where the documents are silent (no `params`, say) the nearest documented text is used.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from simulator.streams import StreamName, parse_stream

_METHODS: Final = (
    "SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY",
)  # fmt: skip
_ID_LENGTH = 36


class RequestError(Exception):
    """The exchange's refusal of a request; `id` is part of the documented flat form."""

    def __init__(self, code: int, text: str, *, with_id: bool = False) -> None:
        self.code, self.text, self.with_id = code, text, with_id

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


class Requests:
    """Subscriptions and properties of one connection.

    Attributes:
        streams: Stream names in the order of subscription, and the exchange time of each.
        combined: Whether frames carry the name of their stream.

    """

    def __init__(
        self,
        *,
        combined: bool,
        max_streams: int,
        flat_errors: bool = False,
        parse: Callable[[str], StreamName | None] = parse_stream,
    ) -> None:
        self.combined = combined
        self._parse = parse
        self.streams: dict[str, int] = {}
        self._max_streams, self._flat = max_streams, flat_errors
        self._answers: dict[str, Callable[[list[Any], int], object]] = {
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "LIST_SUBSCRIPTIONS": self._list,
            "SET_PROPERTY": self._set,
            "GET_PROPERTY": self._get,
        }

    def open(self, names: list[str], now_us: int) -> str:
        """Subscribe the streams of the URL; return the error that is due, or an empty text.

        Malformed names in a URL are passed over: the exchange accepts the connection.
        """
        wanted = [name for name in dict.fromkeys(names) if self._parse(name)]
        try:
            self._subscribe(wanted, now_us)
        except RequestError as error:
            return self._error(error, None)
        return ""

    def answer(self, text: str | bytes, now_us: int) -> str:
        """Return the answer to a message."""
        number: object = None
        try:
            request = self._read(text)
            number = request.get("id")
            return _dump({"result": self._result(request, now_us), "id": number})
        except RequestError as error:
            return self._error(error, number if _is_id(number) else None)

    def _error(self, error: RequestError, number: object) -> str:
        body: dict[str, object] = {"code": error.code, "msg": error.text}
        if not self._flat:
            return _dump({"error": body, "id": number})
        return _dump(body | {"id": number} if error.with_id else body)

    def _read(self, text: str | bytes) -> dict[str, Any]:
        try:
            request = json.loads(text)
        except json.JSONDecodeError as exc:
            where = f"line {exc.lineno} column {exc.colno}"
            raise RequestError(3, f"Invalid JSON: expected value at {where}") from exc
        except (UnicodeDecodeError, RecursionError) as exc:
            raise RequestError(3, "Invalid JSON: expected value at line 1 column 1") from exc
        if not isinstance(request, dict):
            raise _missing("method", text)
        return request

    def _result(self, request: dict[str, Any], now_us: int) -> object:
        method, params = request.get("method"), request.get("params", [])
        if method is None:
            raise _missing("method", json.dumps(request))
        if method not in self._answers:
            known = ", ".join(f"`{name}`" for name in _METHODS)
            where = "at line 1 column 28"
            raise RequestError(
                2, f"Invalid request: unknown variant `{method}`, expected one of {known} {where}"
            )
        if "id" not in request or not _is_id(request["id"]):
            raise RequestError(2, "Invalid request: request ID must be an unsigned integer")
        if not isinstance(params, list):
            raise _missing("params", json.dumps(request))
        return self._answers[method](params, now_us)

    def _subscribe(self, names: list[Any], now_us: int) -> None:
        self._check(names)
        new = [name for name in dict.fromkeys(names) if name not in self.streams]
        if len(self.streams) + len(new) > self._max_streams:
            raise RequestError(4, "Too many subscriptions")
        # Again subscribed is still subscribed: no frame comes twice.
        self.streams |= dict.fromkeys(new, now_us)

    def _unsubscribe(self, names: list[Any], _now_us: int) -> None:
        self._check(names)
        for name in names:
            self.streams.pop(name, None)

    def _list(self, params: list[Any], _now_us: int) -> list[str]:
        _at_most(params, 0)
        return list(self.streams)

    def _set(self, params: list[Any], _now_us: int) -> None:
        _at_most(params, 2)
        _property(params)
        value = params[1] if len(params) > 1 else None
        if not isinstance(value, bool):
            raise RequestError(1, "Invalid value type: expected Boolean")
        self.combined = value

    def _get(self, params: list[Any], _now_us: int) -> bool:
        _at_most(params, 1)
        _property(params)
        return self.combined

    def _check(self, names: list[Any]) -> None:
        if not all(isinstance(name, str) and self._parse(name) for name in names):
            raise RequestError(2, "Invalid request: invalid stream")


def _is_id(value: object) -> bool:
    """Say whether it is null, a signed 64-bit integer or an alphanumeric text of 36 at most."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, str):
        # UUIDs are in use, so a dash counts as alphanumeric.
        return 0 < len(value) <= _ID_LENGTH and value.replace("-", "").isalnum()
    return value is None


def _at_most(params: list[Any], count: int) -> None:
    if len(params) > count:
        raise RequestError(2, "Invalid request: too many parameters")


def _property(params: list[Any]) -> None:
    if not params or not isinstance(params[0], str):
        raise RequestError(2, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise RequestError(0, "Unknown property", with_id=True)


def _missing(field: str, text: str | bytes) -> RequestError:
    return RequestError(2, f"Invalid request: missing field `{field}` at line 1 column {len(text)}")


def _dump(answer: dict[str, object]) -> str:
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
