"""The exchange's own klines, from its frames and rows of REST: the audit of ours, and the past."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.exchange.wire import WireKline, to_us
from core.market.decimals import parse
from core.market.errors import DecimalError
from core.market.intervals import Interval, interval
from core.market.kline import Kline

_Sums = tuple[str, str, str, str]
"""Volume, the takers' share of it, quote volume, the takers' share of that."""


def to_kline(key: str, message: WireKline) -> Kline:
    """Return the kline of a frame, exact.

    Raises:
        DecimalError: A number cannot be held.
        IntervalError: Of an interval that there is not.

    """
    k = message.kline
    sums = (k.volume, k.taker_buy_volume, k.quote_volume, k.taker_buy_quote_volume)
    kline = _exact(key, interval(k.interval), (k.open, k.high, k.low, k.close), sums)
    return replace(
        kline, open_us=to_us(k.open_time), close_us=_close_us(k.close_time), trades=k.trades,
        first_id=k.first_id, last_id=k.last_id,
    )  # fmt: skip


def from_row(key: str, of: Interval, row: Sequence[Any]) -> Kline:
    """Return the kline of a row of REST, exact; it says nothing of ids, so they are -1.

    A row is ``[open time, open, high, low, close, volume, close time, quote volume, trades, the
    takers' volume, the takers' quote volume, ...]`` (rest-api.md, "Kline/Candlestick data").

    Raises:
        DecimalError: A number cannot be held.
        LookupError, TypeError, ValueError: It is no such row.

    """
    open_, high, low, close, volume, quote, taker, taker_quote = (
        str(row[at]) for at in (1, 2, 3, 4, 5, 7, 9, 10)
    )
    kline = _exact(key, of, (open_, high, low, close), (volume, taker, quote, taker_quote))
    return replace(
        kline, open_us=to_us(int(row[0])), close_us=_close_us(int(row[6])), trades=int(row[8])
    )


def _exact(key: str, of: Interval, four: tuple[str, str, str, str], sums: _Sums) -> Kline:
    prices = [parse(text) for text in four]
    volumes = [parse(text) for text in sums[:2]]
    quotes = [parse_sum(text) for text in sums[2:]]
    quantity_scale = max(scale for _, scale in volumes)
    price_scale = max(scale for _, scale in prices)
    # A quote volume has the places of price and quantity together.
    price_scale = max(price_scale, max(scale for _, scale in quotes) - quantity_scale)
    quote_scale = price_scale + quantity_scale
    o, h, low, c = (units * 10 ** (price_scale - scale) for units, scale in prices)
    v, tv = (units * 10 ** (quantity_scale - scale) for units, scale in volumes)
    q, tq = (units * 10 ** (quote_scale - scale) for units, scale in quotes)
    return Kline(
        key=key, interval=of, open_us=0, close_us=0,
        price_scale=price_scale, quantity_scale=quantity_scale,
        open_units=o, high_units=h, low_units=low, close_units=c,
        volume_units=v, quote_volume_units=q, trades=0,
        taker_buy_volume_units=tv, taker_buy_quote_volume_units=tq, first_id=-1, last_id=-1,
    )  # fmt: skip


def _close_us(close_time: int) -> int:
    close_us = to_us(close_time)
    return close_us if close_us % 1000 else close_us + 999


def parse_sum(text: str) -> tuple[int, int]:
    """Return (units, scale) of a sum, which may have more digits than one price may."""
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    digits = whole + fraction
    if not digits.isascii() or not digits.isdigit() or len(digits) > 38:
        raise DecimalError(text, "expected up to 38 digits")
    return int(digits), len(fraction)
