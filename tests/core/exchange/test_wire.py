"""Frames as they were seen on the wire, and what may come instead of them."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.exchange.wire import (
    Reply,
    Unused,
    WireAggTrade,
    WireKline,
    WireShutdown,
    WireTrade,
    chunks,
    parse,
    parse_page,
    subscribe,
)
from core.market.errors import WireError

TRADE = (
    '{"e":"trade","E":1757522615939,"s":"BTCUSDT","t":5225367649,"p":"113747.89000000",'
    '"q":"0.00060000","T":1757522615939,"m":true,"M":true}'
)
AGGREGATE = (
    '{"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,'
    '"l":105,"T":1672515782136,"m":true,"M":true}'
)
KLINE = (
    '{"e":"kline","E":1751132772018,"s":"BTCUSDT","k":{"t":1751132760000,"T":1751132819999,'
    '"s":"BTCUSDT","i":"1m","f":5052328412,"L":5052328605,"o":"107413.25000000",'
    '"c":"107413.18000000","h":"107413.25000000","l":"107413.18000000","v":"0.61673000","n":194,'
    '"x":false,"q":"66244.96435620","V":"0.02328000","Q":"2500.57910880","B":"0"}}'
)


def combined(stream: str, data: str) -> str:
    return f'{{"stream":"{stream}","data":{data}}}'


@pytest.mark.parametrize("wrap", [str, lambda d: combined("s", d), lambda d: f" {d} "])
def test_the_three_frames_parse_raw_combined_and_padded(wrap: Callable[[str], str]) -> None:
    trade, aggregate, kline = (parse(wrap(d)) for d in (TRADE, AGGREGATE, KLINE))
    assert isinstance(trade, WireTrade)
    assert (trade.id, trade.price, trade.quantity) == (5225367649, "113747.89000000", "0.00060000")
    assert isinstance(aggregate, WireAggTrade)
    assert (aggregate.id, aggregate.first_id, aggregate.last_id) == (12345, 100, 105)
    assert isinstance(kline, WireKline)
    assert (kline.kline.trades, kline.kline.final) == (194, False)


@pytest.mark.parametrize(
    ("text", "request_id", "error"),
    [
        ('{"result":null,"id":1}', 1, None),
        ('{"result":["btcusdt@trade"],"id":"a"}', "a", None),
        ('{"error":{"code":3,"msg":"Invalid JSON"},"id":null}', None, "3 Invalid JSON"),
        ('{"code":2,"msg":"Invalid request"}', None, "2 Invalid request"),
        ('{"code":-1121,"msg":"Invalid symbol."}', None, "-1121 Invalid symbol."),
    ],
)
def test_replies_parse_in_both_error_shapes(
    text: str, request_id: int | str | None, error: str | None
) -> None:
    reply = parse(text)
    assert isinstance(reply, Reply)
    assert (reply.id, reply.error) == (request_id, error)


@pytest.mark.parametrize(
    "text",
    [
        '{"e":"serverShutdown","E":1770123456789}',
        '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
        '{"event":{"e":"serverShutdown","E":1770123456789}}',
    ],
)
def test_a_shutdown_parses_in_its_three_shapes(text: str) -> None:
    assert isinstance(parse(text), WireShutdown)


@pytest.mark.parametrize(
    "text",
    [
        combined("btcusdt@depth@100ms", '{"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,"b":[]}'),
        '{"u":1,"s":"X","b":"1","B":"1","a":"2","A":"1"}',
        '{"lastUpdateId":160,"bids":[],"asks":[]}',
    ],
)
def test_books_and_tickers_are_known_and_not_used(text: str) -> None:
    assert isinstance(parse(text), Unused)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"e":"trade","p":NaN}', "not JSON"),
        ("[1,2]", "expected a JSON object"),
        ("17", "expected a JSON object"),
        ('{"e":"surprise"}', "unknown event `surprise`"),
        ("{}", "unknown event `None`"),
        ('{"stream":"a@trade","data":[]}', "expected an object in `data`"),
        (TRADE.replace("5225367649", '"5225367649"'), "bad trade: trade.t"),
        (TRADE.replace("5225367649", "1.5"), "bad trade: trade.t"),
        (TRADE.replace('"0.00060000"', "0.0006"), "bad trade: trade.q"),
        (TRADE.replace("5225367649", "99999999999999999999"), "bad trade"),
        (TRADE.replace('"m":true,', '"m":"yes",'), "bad trade: trade.m"),
        (KLINE.replace('"n":194', '"n":-1'), "bad kline: kline.k.n"),
    ],
)
def test_what_cannot_be_understood_is_a_wire_error_that_says_why(text: str, why: str) -> None:
    with pytest.raises(WireError) as caught:
        parse(text)
    assert why in str(caught.value)


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["e", "data", "stream", "k", "id", "p"]), inner)
        ),
    ).map(lambda body: __import__("json").dumps(body))
)
def test_nothing_that_is_sent_can_raise_anything_else(text: str) -> None:
    with contextlib.suppress(WireError):
        parse(text)


def test_pages_parse_and_an_error_body_is_named() -> None:
    (row,) = parse_page(
        '[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012",'
        '"time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}]',
        aggregate=False,
    )
    assert (row.id, row.price, row.time) == (28457, "4.00000100", 1499865549590)
    with pytest.raises(WireError, match="bad REST page"):
        parse_page('{"code":-1003,"msg":"Too many requests"}', aggregate=True)


@given(st.lists(st.text("abcdefgé", min_size=3, max_size=12), max_size=500))
def test_chunks_keep_every_stream_in_order_below_the_size(names: list[str]) -> None:
    streams = [f"{name}@trade" for name in names]
    parts = chunks(streams)
    assert [name for part in parts for name in part] == streams
    assert all(len(subscribe(part, 2**62).encode()) <= 3600 for part in parts)
