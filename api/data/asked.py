"""What a request says, understood: instruments, times, cursors. Every refusal names its field."""

import base64
import hashlib
import re
from binascii import Error as NoBase64
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from api.data.query import Place, Query
from api.problems import ProblemError
from config.settings import Settings
from core.market.errors import IntervalError, SymbolError
from core.market.intervals import INTERVALS, interval
from core.market.symbols import Instrument

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"-?\d{1,19}", re.ASCII)
_LOST_PLUS = re.compile(r"(T[\d:.]+) (\d\d:?\d\d)$", re.ASCII)
_TIME_HINT = "a time such as 2025-01-31, 2025-01-31T12:00:00Z, or 1738324800000 (milliseconds)"
_LONGEST = 2000
_MOST = (1 << 63) - 1


def key_of(settings: Settings, symbol: str, field: str = "symbol") -> str:
    """Return the key of a symbol as callers write it: BTCUSDT or binance:BTCUSDT."""
    given, _, name = symbol.rpartition(":")
    exchange = given or settings.binance.place.exchange
    try:
        if name.startswith("shard-"):  # a connection, whose events are asked for like a symbol's
            return Instrument.from_key(f"{exchange}:{name}").key
        return Instrument.from_key(Instrument.of(name, exchange).key).key
    except SymbolError as error:
        raise ProblemError(422, str(error), field=field) from None


def interval_of(name: str) -> str:
    """Return the name of an interval."""
    try:
        return interval(name).name
    except IntervalError as error:
        hint = f"one of {' '.join(INTERVALS)}"
        raise ProblemError(422, str(error), field="interval", hint=hint) from None


def time_of(text: str | None, field: str) -> int | None:
    """Return a time as microseconds since the epoch; texts without a zone are UTC."""
    if text is None or not text.strip():
        return None
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return _of_number(int(text), field)
    try:
        at = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
    except ValueError:
        raise ProblemError(422, f"`{text}` is no time", field=field, hint=_TIME_HINT) from None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def _of_number(number: int, field: str) -> int:
    if 0 < number < 100_000_000_000:
        hint = "give milliseconds or microseconds since 1970"
        raise ProblemError(422, f"`{number}` looks like seconds", field=field, hint=hint)
    found = number if number >= 100_000_000_000_000 else number * 1000
    if not 0 <= found < 1 << 53:
        raise ProblemError(422, f"`{number}` is out of range", field=field, hint=_TIME_HINT)
    return found


def span_of(from_: str | None, to: str | None) -> tuple[int | None, int | None]:
    """Return first time and end, exclusive, of a request."""
    start, end = time_of(from_, "from"), time_of(to, "to")
    if start is not None and end is not None and end <= start:
        raise ProblemError(422, f"`{to}` is not behind `{from_}`", field="to")
    return start, end


def to_cursor(place: Place | None, query: Query) -> str | None:
    """Return where the next page begins, as text that only means something to us."""
    if place is None:
        return None
    body = orjson.dumps([_mark(query), [str(value) for value in place]])
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def from_cursor(text: str | None, query: Query) -> Place | None:
    """Return the place of a cursor that was given for this query."""
    if not text:
        return None
    bad = ProblemError(
        422, "no such cursor", field="cursor", hint="give `next` of the page before as it came"
    )
    try:
        body = orjson.loads(base64.urlsafe_b64decode(text[:_LONGEST] + "=" * (-len(text) % 4)))
        mark, place = body
        if mark != _mark(query):
            raise ProblemError(
                422, "the cursor is of another question", field="cursor",
                hint="symbol, interval, filters, from, to and order stay as they were",
            )  # fmt: skip
        return _place(place, query)
    except (ValueError, TypeError, NoBase64):
        raise bad from None


def _place(place: Any, query: Query) -> Place:  # noqa: ANN401 - whatever JSON a caller sends
    if len(place) != len(query.order) or not all(isinstance(one, str) for one in place):
        raise ValueError(place)
    found = tuple(
        text if name in {"key", "kind"} else int(text)
        for name, text in zip(query.order, place, strict=True)
    )
    if any(isinstance(one, int) and abs(one) > _MOST for one in found):
        raise ValueError(place)
    return found


def _mark(query: Query) -> str:
    told = (
        query.shape.kind.value, query.keys, query.interval, query.start_us, query.end_us,
        query.descending, query.filters, query.revisions,
    )  # fmt: skip
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]
