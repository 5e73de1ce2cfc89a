"""How USD-M writes: payloads and rows with the fields and decimals of the futures documentation.

Unlike Spot, decimals have the places of `pricePrecision` and `quantityPrecision`, and sums of
products have both together; times are milliseconds only. `nq` and `isRPITrade` tell of retail
price improvement orders, `st` of the product (1: USD-M). Shapes: binance-connector-python, fixtures
of derivatives_trading_usds_futures; checked against frames recorded in 2021.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from simulator.faults import Frame, framed
from simulator.klines import Kline
from simulator.market import Listing
from simulator.tape import UNITS, Aggregate, Block, Trade

DELAY_US: Final = 155_000
"""``E - T`` of aggregates in the frames recorded in 2021; klines had 4 ms."""

_BOOLS = ("false", "true")
_PLACES = 8
_MS = 1000
_RPI = 16  # every so manyth id is of a retail price improvement order


class Precision(NamedTuple):
    """Decimal places of a symbol, as ``exchangeInfo`` names them."""

    price: int
    quantity: int

    def price_text(self, units: int) -> str:
        """Return a price in units of ``10**-8`` as text."""
        return _text(units, _PLACES, self.price)

    def quantity_text(self, units: int) -> str:
        """Return a quantity in units of ``10**-8`` as text."""
        return _text(units, _PLACES, self.quantity)

    def quote_text(self, units: int) -> str:
        """Return a sum of products in units of ``10**-16`` as text: it is exact."""
        return _text(units, 2 * _PLACES, self.price + self.quantity)


def precision(listing: Listing) -> Precision:
    """Return the places of a symbol: one more for prices than its ticks need, as at Binance."""
    return Precision(min(places(listing.tick) + 1, _PLACES), places(listing.step))


def places(grid: Decimal) -> int:
    """Return how many decimal places a grid has.

    >>> places(Decimal("0.010")), places(Decimal("100"))
    (2, 0)
    """
    exponent = grid.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def shown_quantity(row: Aggregate, step: Decimal) -> int:
    """Return ``nq``: the quantity without retail price improvement orders, in units."""
    unit = int(step * UNITS)
    return row.quantity // 2 // unit * unit if row.id % _RPI == 0 else row.quantity


def aggregate_frames(
    block: Block, listing: Listing, stream: str, wrap: tuple[str, str]
) -> list[Frame]:
    """Return one frame per aggregate of a block."""
    head, tail = wrap
    text, first_id = precision(listing), listing.tape.first_aggregate_id
    frames: list[Frame] = []
    ends = [*block.starts[1:], len(block)]
    for end, row in zip(ends, block.aggregates(first_id), strict=False):
        event_us = max(block.events[end - 1], row.time_us + DELAY_US)
        payload = (
            f'{head}{{"e":"aggTrade","E":{event_us // _MS},"s":"{listing.symbol}","a":{row.id},'
            f'"p":"{text.price_text(row.price)}","q":"{text.quantity_text(row.quantity)}",'
            f'"nq":"{text.quantity_text(shown_quantity(row, listing.step))}",'
            f'"f":{row.first_id},"l":{row.last_id},"T":{row.time_us // _MS},'
            f'"m":{_BOOLS[row.buyer_is_maker]},"st":1}}{tail}'
        )
        frames.append((event_us, stream, framed(payload.encode())))
    return frames


def kline_payload(
    kline: Kline, event_us: int, listing: Listing, interval: str, *, closed: bool
) -> str:
    """Return the payload of a kline frame."""
    bar, text = kline.bar, precision(listing)
    return (
        f'{{"e":"kline","E":{event_us // _MS},"s":"{listing.symbol}",'
        f'"k":{{"t":{kline.open_us // _MS},"T":{kline.end_us // _MS - 1},"s":"{listing.symbol}",'
        f'"i":"{interval}","f":{bar.first_id},"L":{bar.last_id},'
        f'"o":"{text.price_text(bar.open)}","c":"{text.price_text(bar.close)}",'
        f'"h":"{text.price_text(bar.high)}","l":"{text.price_text(bar.low)}",'
        f'"v":"{text.quantity_text(bar.volume)}","n":{bar.trades},"x":{_BOOLS[closed]},'
        f'"q":"{text.quote_text(bar.quote_volume)}","V":"{text.quantity_text(bar.buy_volume)}",'
        f'"Q":"{text.quote_text(bar.buy_quote_volume)}","B":"0"}}}}'
    )


def rest_trades(rows: list[Trade], listing: Listing) -> str:
    """Return the answer of ``/trades`` and ``/historicalTrades``."""
    text = precision(listing)
    return _list(
        f'{{"id":{t.id},"price":"{text.price_text(t.price)}",'
        f'"qty":"{text.quantity_text(t.quantity)}",'
        f'"quoteQty":"{text.quote_text(t.price * t.quantity)}","time":{t.time_us // _MS},'
        f'"isBuyerMaker":{_BOOLS[t.buyer_is_maker]},"isRPITrade":{_BOOLS[t.id % _RPI == 0]}}}'
        for t in rows
    )


def rest_aggregates(rows: list[Aggregate], listing: Listing) -> str:
    """Return the answer of ``/aggTrades``."""
    text = precision(listing)
    return _list(
        f'{{"a":{r.id},"p":"{text.price_text(r.price)}","q":"{text.quantity_text(r.quantity)}",'
        f'"nq":"{text.quantity_text(shown_quantity(r, listing.step))}",'
        f'"f":{r.first_id},"l":{r.last_id},"T":{r.time_us // _MS},"m":{_BOOLS[r.buyer_is_maker]}}}'
        for r in rows
    )


def rest_klines(rows: list[Kline], listing: Listing) -> str:
    """Return the answer of ``/klines``: twelve fields per row."""
    text = precision(listing)
    return _list(
        f'[{k.open_us // _MS},"{text.price_text(k.bar.open)}","{text.price_text(k.bar.high)}",'
        f'"{text.price_text(k.bar.low)}","{text.price_text(k.bar.close)}",'
        f'"{text.quantity_text(k.bar.volume)}",{k.end_us // _MS - 1},'
        f'"{text.quote_text(k.bar.quote_volume)}",{k.bar.trades},'
        f'"{text.quantity_text(k.bar.buy_volume)}","{text.quote_text(k.bar.buy_quote_volume)}","0"]'
        for k in rows
    )


def _text(units: int, scale: int, shown: int) -> str:
    units //= 10 ** (scale - shown)
    return f"{units // 10**shown}.{units % 10**shown:0{shown}d}" if shown else str(units)


def _list(rows: Iterator[str]) -> str:
    return f"[{','.join(rows)}]"
