"""How the exchange writes: WebSocket payloads and REST rows, made by format strings for speed.

Shapes and order of keys are those of binance-spot-api-docs, web-socket-streams.md and rest-api.md;
decimals always carry eight places, as on the wire. `unit` is 1000 where times are milliseconds
and 1 where they are microseconds.
"""

from collections.abc import Iterator

from simulator.faults import Frame, framed
from simulator.klines import Kline
from simulator.tape import UNITS, Aggregate, Block, Trade

_BOOLS = ("false", "true")


def decimal_text(units: int) -> str:
    """Return units of ``10**-8`` as text with eight places."""
    return f"{units // UNITS}.{units % UNITS:08d}"


def quote_text(units: int) -> str:
    """Return units of ``10**-16`` as text with eight places; what is finer is cut off."""
    return decimal_text(units // UNITS)


def envelope(stream: str, *, combined: bool) -> tuple[str, str]:
    """Return what goes before and after a payload."""
    return (f'{{"stream":"{stream}","data":', "}") if combined else ("", "")


def trade_frames(
    block: Block, symbol: str, stream: str, unit: int, wrap: tuple[str, str]
) -> list[Frame]:
    """Return one frame per trade of a block."""
    head, tail = wrap
    texts: dict[int, str] = {}
    frames: list[Frame] = []
    rows = zip(
        block.ids, block.times, block.events, block.prices, block.quantities, block.makers,
        strict=True,
    )  # fmt: skip
    for number, time_us, event_us, price, quantity, maker in rows:
        # Prices repeat; writing one takes longer than finding it.
        text = texts.get(price)
        if text is None:
            text = texts[price] = decimal_text(price)
        payload = (
            f'{head}{{"e":"trade","E":{event_us // unit},"s":"{symbol}","t":{number},"p":"{text}",'
            f'"q":"{quantity // UNITS}.{quantity % UNITS:08d}","T":{time_us // unit},'
            f'"m":{_BOOLS[maker]},"M":true}}{tail}'
        )
        frames.append((event_us, stream, framed(payload.encode())))
    return frames


def aggregate_frames(
    block: Block,
    first_aggregate_id: int,
    symbol: str,
    stream: str,
    unit: int,
    wrap: tuple[str, str],
) -> list[Frame]:
    """Return one frame per aggregate of a block."""
    head, tail = wrap
    frames: list[Frame] = []
    for start, row in zip(block.starts, block.aggregates(first_aggregate_id), strict=True):
        event_us = block.events[start]
        payload = (
            f'{head}{{"e":"aggTrade","E":{event_us // unit},"s":"{symbol}","a":{row.id},'
            f'"p":"{decimal_text(row.price)}","q":"{decimal_text(row.quantity)}",'
            f'"f":{row.first_id},"l":{row.last_id},"T":{row.time_us // unit},'
            f'"m":{_BOOLS[row.buyer_is_maker]},"M":true}}{tail}'
        )
        frames.append((event_us, stream, framed(payload.encode())))
    return frames


def kline_payload(
    kline: Kline, event_us: int, symbol: str, interval: str, unit: int, *, closed: bool
) -> str:
    """Return the payload of a kline frame."""
    bar = kline.bar
    return (
        f'{{"e":"kline","E":{event_us // unit},"s":"{symbol}","k":{{"t":{kline.open_us // unit},'
        f'"T":{kline.end_us // unit - 1},"s":"{symbol}","i":"{interval}",'
        f'"f":{bar.first_id},"L":{bar.last_id},'
        f'"o":"{decimal_text(bar.open)}","c":"{decimal_text(bar.close)}",'
        f'"h":"{decimal_text(bar.high)}","l":"{decimal_text(bar.low)}",'
        f'"v":"{decimal_text(bar.volume)}","n":{bar.trades},"x":{_BOOLS[closed]},'
        f'"q":"{quote_text(bar.quote_volume)}","V":"{decimal_text(bar.buy_volume)}",'
        f'"Q":"{quote_text(bar.buy_quote_volume)}","B":"0"}}}}'
    )


def rest_trades(rows: list[Trade], unit: int) -> str:
    """Return the answer of ``/trades`` and ``/historicalTrades``."""
    return _list(
        f'{{"id":{t.id},"price":"{decimal_text(t.price)}","qty":"{decimal_text(t.quantity)}",'
        f'"quoteQty":"{quote_text(t.price * t.quantity)}","time":{t.time_us // unit},'
        f'"isBuyerMaker":{_BOOLS[t.buyer_is_maker]},"isBestMatch":true}}'
        for t in rows
    )


def rest_aggregates(rows: list[Aggregate], unit: int) -> str:
    """Return the answer of ``/aggTrades``."""
    return _list(
        f'{{"a":{r.id},"p":"{decimal_text(r.price)}","q":"{decimal_text(r.quantity)}",'
        f'"f":{r.first_id},"l":{r.last_id},"T":{r.time_us // unit},'
        f'"m":{_BOOLS[r.buyer_is_maker]},"M":true}}'
        for r in rows
    )


def rest_klines(rows: list[Kline], unit: int) -> str:
    """Return the answer of ``/klines``: twelve fields per row."""
    return _list(
        f'[{k.open_us // unit},"{decimal_text(k.bar.open)}","{decimal_text(k.bar.high)}",'
        f'"{decimal_text(k.bar.low)}","{decimal_text(k.bar.close)}",'
        f'"{decimal_text(k.bar.volume)}",{k.end_us // unit - 1},'
        f'"{quote_text(k.bar.quote_volume)}",{k.bar.trades},'
        f'"{decimal_text(k.bar.buy_volume)}","{quote_text(k.bar.buy_quote_volume)}","0"]'
        for k in rows
    )


def _list(rows: Iterator[str]) -> str:
    return f"[{','.join(rows)}]"
