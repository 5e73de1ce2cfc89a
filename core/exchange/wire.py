"""Binance's frames and REST pages, validated: theirs in short names, ours in full ones.

Shapes and error texts: binance-spot-api-docs, web-socket-streams.md and rest-api.md. Unknown
fields are ignored (Binance adds some every year); wrong types, NaN and unknown events are not.

Payloads, as they come on the wire::

    {"e":"trade","E":1757522615939,"s":"BTCUSDT","t":5225367649,"p":"113747.89000000",
     "q":"0.00060000","T":1757522615939,"m":true,"M":true}
    {"stream":"btcusdt@trade","data":{…}}                          on /stream connections
    {"result":null,"id":1}                                         a request was accepted
    {"error":{"code":2,"msg":"Invalid request: …"},"id":1}         refused, as seen on the wire
    {"code":2,"msg":"Invalid request: …"}                          refused, as documented
"""

from typing import Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.market.errors import WireError

Id = Annotated[int, Field(ge=-1, lt=2**63)]
Time = Annotated[int, Field(ge=0, lt=2**62)]
"""Milliseconds or microseconds since the epoch, told apart by size (`to_us`)."""

_MICROSECONDS_FROM = 10**14


def to_us(time: int) -> int:
    """Return a time of the exchange in microseconds, whichever unit it came in.

    >>> to_us(1_757_522_615_939), to_us(1_757_522_615_939_123)
    (1757522615939000, 1757522615939123)
    """
    return time if time >= _MICROSECONDS_FROM else time * 1000


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class WireTrade(_Wire):
    """``<symbol>@trade``: one trade."""

    e: Literal["trade"]
    event_time: Time = Field(alias="E")
    symbol: str = Field(alias="s")
    id: Id = Field(alias="t")
    price: str = Field(alias="p")
    quantity: str = Field(alias="q")
    time: Time = Field(alias="T")
    buyer_is_maker: bool = Field(alias="m")


class WireAggTrade(_Wire):
    """``<symbol>@aggTrade``: the trades of one taker order at one price."""

    e: Literal["aggTrade"]
    event_time: Time = Field(alias="E")
    symbol: str = Field(alias="s")
    id: Id = Field(alias="a")
    price: str = Field(alias="p")
    quantity: str = Field(alias="q")
    first_id: Id = Field(alias="f")
    last_id: Id = Field(alias="l")
    time: Time = Field(alias="T")
    buyer_is_maker: bool = Field(alias="m")


class WireKlineBody(_Wire):
    """The ``k`` of a kline frame."""

    open_time: Time = Field(alias="t")
    close_time: Time = Field(alias="T")
    interval: str = Field(alias="i")
    first_id: Id = Field(alias="f")
    last_id: Id = Field(alias="L")
    open: str = Field(alias="o")
    close: str = Field(alias="c")
    high: str = Field(alias="h")
    low: str = Field(alias="l")
    volume: str = Field(alias="v")
    trades: int = Field(alias="n", ge=0)
    final: bool = Field(alias="x")
    quote_volume: str = Field(alias="q")
    taker_buy_volume: str = Field(alias="V")
    taker_buy_quote_volume: str = Field(alias="Q")


class WireKline(_Wire):
    """``<symbol>@kline_<interval>``: the exchange's own kline, forming or closed."""

    e: Literal["kline"]
    event_time: Time = Field(alias="E")
    symbol: str = Field(alias="s")
    kline: WireKlineBody = Field(alias="k")


class WireShutdown(_Wire):
    """``serverShutdown``: the connection will be closed for maintenance."""

    e: Literal["serverShutdown"]
    event_time: Time = Field(alias="E")


class Reply(_Wire):
    """The answer to a request of ours; `error` is set when it was refused."""

    id: int | str | None = None
    result: Any = None
    error: str | None = None


class Unused(_Wire):
    """A frame of a known kind that nobody here reads (books, tickers)."""

    kind: str


Message: TypeAlias = WireTrade | WireAggTrade | WireKline | WireShutdown | Reply | Unused

_Event = Annotated[
    WireTrade | WireAggTrade | WireKline | WireShutdown,
    Field(discriminator="e"),
]


class _Combined(_Wire):
    stream: str
    data: _Event


_EVENT: TypeAdapter[WireTrade | WireAggTrade | WireKline | WireShutdown] = TypeAdapter(_Event)
_READ = {"trade", "aggTrade", "kline", "serverShutdown"}
_UNUSED = {
    "depthUpdate", "bookTicker", "24hrMiniTicker", "24hrTicker", "1hTicker", "4hTicker", "1dTicker",
    "avgPrice", "blockTrade", "referencePrice", "markPriceUpdate", "forceOrder", "continuous_kline",
    "contractInfo", "tradingSession", "compositeIndex", "assetIndexUpdate",
}  # fmt: skip


def parse(text: str) -> Message:
    """Return the message of a frame, or raise `WireError`; nothing else is raised.

    >>> parse('{"result":null,"id":7}')
    Reply(id=7, result=None, error=None)
    >>> parse('{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}').error
    '2 Invalid request: invalid stream'
    """
    try:
        # The two shapes of nearly every frame; all else takes the patient way below.
        if text.startswith('{"stream":'):
            return _Combined.model_validate_json(text).data
        if text.startswith('{"e":'):
            return _EVENT.validate_json(text)
    except ValidationError:
        pass
    return _classify(text)


def _classify(text: str) -> Message:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise WireError(f"not JSON ({error})", text) from None
    if not isinstance(body, dict):
        raise WireError("expected a JSON object", text)
    reply = _reply(body)
    if reply is not None:
        return reply
    inner = body.get("data", body.get("event", body))
    if not isinstance(inner, dict):
        raise WireError("expected an object in `data`", text)
    return _event(inner, text)


def _reply(body: dict[str, Any]) -> Reply | None:
    error = body.get("error")
    if isinstance(error, dict):
        return Reply(id=_request_id(body), error=f"{error.get('code')} {error.get('msg')}")
    if "code" in body and "msg" in body:
        return Reply(id=_request_id(body), error=f"{body['code']} {body['msg']}")
    if "result" in body:
        return Reply(id=_request_id(body), result=body["result"])
    return None


def _request_id(body: dict[str, Any]) -> int | str | None:
    found = body.get("id")
    return found if isinstance(found, int | str) else None


def _event(inner: dict[str, Any], text: str) -> Message:
    kind = inner.get("e")
    if kind is None and ("lastUpdateId" in inner or {"u", "b", "B", "a", "A"} <= inner.keys()):
        return Unused(kind="book")
    if not isinstance(kind, str):
        raise WireError(f"unknown event `{kind}`", text)
    if kind in _UNUSED:
        return Unused(kind=kind)
    if kind not in _READ:
        raise WireError(f"unknown event `{kind}`", text)
    try:
        return _EVENT.validate_python(inner)
    except ValidationError as error:
        raise WireError(f"bad {kind}: {_first(error)}", text) from None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


class RestTrade(_Wire):
    """One row of ``/api/v3/trades`` and ``/api/v3/historicalTrades``."""

    id: Id
    price: str
    quantity: str = Field(alias="qty")
    time: Time
    buyer_is_maker: bool = Field(alias="isBuyerMaker")


class RestAggTrade(_Wire):
    """One row of ``/api/v3/aggTrades`` and ``/fapi/v1/aggTrades``."""

    id: Id = Field(alias="a")
    price: str = Field(alias="p")
    quantity: str = Field(alias="q")
    first_id: Id = Field(alias="f")
    last_id: Id = Field(alias="l")
    time: Time = Field(alias="T")
    buyer_is_maker: bool = Field(alias="m")


RestRow: TypeAlias = RestTrade | RestAggTrade

_TRADES = TypeAdapter(list[RestTrade])
_AGGREGATES = TypeAdapter(list[RestAggTrade])


def parse_page(body: str, *, aggregate: bool) -> list[RestTrade] | list[RestAggTrade]:
    """Return the rows of a REST page, or raise `WireError` (an error body names its code)."""
    try:
        return (_AGGREGATES if aggregate else _TRADES).validate_json(body)
    except ValidationError as error:
        raise WireError(f"bad REST page: {_first(error)}", body) from None


def subscribe(streams: list[str], request_id: int) -> str:
    """Return the text of a SUBSCRIBE request."""
    return _request("SUBSCRIBE", streams, request_id)


def unsubscribe(streams: list[str], request_id: int) -> str:
    """Return the text of an UNSUBSCRIBE request."""
    return _request("UNSUBSCRIBE", streams, request_id)


def _request(method: str, streams: list[str], request_id: int) -> str:
    return orjson.dumps({"method": method, "params": streams, "id": request_id}).decode()


def chunks(streams: list[str], limit: int = 3500) -> list[list[str]]:
    """Cut a list of streams so that each SUBSCRIBE stays below `limit` bytes.

    Binance leaves requests beyond 4096 bytes unanswered for seconds (binance-connector-rust#27).

    >>> [len(part) for part in chunks(["btcusdt@trade"] * 400)]
    [215, 185]
    """
    parts: list[list[str]] = [[]]
    size = 60
    for stream in streams:
        cost = len(stream.encode()) + 3
        if parts[-1] and size + cost > limit:
            parts.append([])
            size = 60
        parts[-1].append(stream)
        size += cost
    return parts if parts[-1] else []
