"""The exchange's own klines, from its frames: the audit of ours."""

from core.exchange.wire import WireKline, to_us
from core.market.decimals import parse
from core.market.errors import DecimalError
from core.market.intervals import interval
from core.market.kline import Kline


def to_kline(key: str, message: WireKline) -> Kline:
    """Return the exchange's own kline, exact; `DecimalError`, `IntervalError` if it cannot be."""
    k = message.kline
    prices = [parse(text) for text in (k.open, k.high, k.low, k.close)]
    volumes = [parse(text) for text in (k.volume, k.taker_buy_volume)]
    quotes = [parse_sum(text) for text in (k.quote_volume, k.taker_buy_quote_volume)]
    quantity_scale = max(scale for _, scale in volumes)
    price_scale = max(scale for _, scale in prices)
    # A quote volume has the places of price and quantity together.
    price_scale = max(price_scale, max(scale for _, scale in quotes) - quantity_scale)
    quote_scale = price_scale + quantity_scale
    o, h, low, c = (units * 10 ** (price_scale - scale) for units, scale in prices)
    v, tv = (units * 10 ** (quantity_scale - scale) for units, scale in volumes)
    q, tq = (units * 10 ** (quote_scale - scale) for units, scale in quotes)
    end_us = to_us(k.close_time)
    return Kline(
        key=key, interval=interval(k.interval), open_us=to_us(k.open_time),
        close_us=end_us if end_us % 1000 else end_us + 999,
        price_scale=price_scale, quantity_scale=quantity_scale,
        open_units=o, high_units=h, low_units=low, close_units=c,
        volume_units=v, quote_volume_units=q, trades=k.trades,
        taker_buy_volume_units=tv, taker_buy_quote_volume_units=tq,
        first_id=k.first_id, last_id=k.last_id,
    )  # fmt: skip


def parse_sum(text: str) -> tuple[int, int]:
    """Return (units, scale) of a sum, which may have more digits than one price may."""
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    digits = whole + fraction
    if not digits.isascii() or not digits.isdigit() or len(digits) > 38:
        raise DecimalError(text, "expected up to 38 digits")
    return int(digits), len(fraction)
