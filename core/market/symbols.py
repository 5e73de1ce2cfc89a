"""Whose data it is: an exchange and a symbol, written ``binance:BTCUSDT`` wherever a key is needed.

Exchanges: ``binance`` is Binance Spot, ``binance-usdm`` its USD-M futures.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from core.market.errors import SymbolError

SPOT = "binance"
USDM = "binance-usdm"
MARKETS = {"spot": SPOT, "usdm": USDM}
"""The names of markets at the edges (options, file names) and the exchange each stands for."""

# Binance lists symbols with non-ASCII letters too; what would break a key, a path or a stream
# name is refused.
_SYMBOL = re.compile(r"[^\s:{}/\\@=*?\x00-\x1f]{2,40}")


@dataclass(frozen=True, slots=True, order=True)
class Instrument:
    """One symbol of one exchange.

    >>> Instrument.of("btcusdt").key
    'binance:BTCUSDT'
    """

    exchange: str
    symbol: str

    @classmethod
    def of(cls, symbol: str, exchange: str = SPOT) -> "Instrument":
        """Return the instrument of a symbol as a user writes it, in any case."""
        name = symbol.strip().upper()
        if not _SYMBOL.fullmatch(name):
            raise SymbolError(symbol, "expected 2 to 40 letters or digits, such as BTCUSDT")
        return cls(exchange, name)

    @classmethod
    def from_key(cls, key: str) -> "Instrument":
        """Return the instrument of a key.

        >>> Instrument.from_key("binance-usdm:ETHUSDT").symbol
        'ETHUSDT'
        """
        return _from_key(key)

    @property
    def key(self) -> str:
        """The text by which the flow, Redis and the lake name it."""
        return f"{self.exchange}:{self.symbol}"

    def __str__(self) -> str:
        return self.key


@lru_cache(maxsize=65536)
def _from_key(key: str) -> Instrument:
    exchange, colon, symbol = key.partition(":")
    if not colon or not exchange or not _SYMBOL.fullmatch(symbol):
        raise SymbolError(key, "expected a key such as binance:BTCUSDT")
    return Instrument(exchange, symbol)
