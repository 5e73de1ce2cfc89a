"""Equity of several instruments as one: flows share no state, so whoever reads adds up.

Only amounts of one quote asset can be added: `quote_of` tells which a symbol has.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from heapq import merge
from itertools import groupby
from operator import attrgetter

from core.market.decimals import exact, units_at
from core.market.paper import Equity
from core.market.symbols import Instrument
from core.paper.rules import MONEY

# As Binance lists them; the longest that fits is meant (BTCTUSD is no BTCT against USD).
_QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USD1", "DAI", "USD", "BTC", "ETH", "BNB",
    "EUR", "EURI", "AEUR", "GBP", "TRY", "BRL", "ARS", "AUD", "JPY", "MXN", "PLN", "RON", "ZAR",
    "COP", "CZK", "UAH", "RUB", "NGN", "BIDR", "IDRT", "VAI", "XRP", "TRX", "DOGE", "DOT", "SOL",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """What several accounts are worth together at one time.

    Attributes:
        time_us: Of the newest row in it.
        capital: Cash that they began with.
        equity: What they are worth.
        realised: Profit realised, before fees.
        unrealised: Profit that open positions would bring.
        fees: Paid so far.
        peak: Highest equity so far; it rises by the cash of an account that joins.
        fills: How many there were.

    """

    time_us: int
    capital: Decimal
    equity: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    peak: Decimal
    fills: int

    @property
    def drawdown(self) -> Decimal:
        """How far below its peak; never positive."""
        return exact(units_at(self.equity, MONEY) - units_at(self.peak, MONEY), MONEY)


def join(*series: Iterable[Equity]) -> Iterator[Standing]:
    """Yield what all are worth together, at each time at which one of them says something.

    Each counts from its first row on, with its last row as long as none follows. Given the rows
    of accounts, or those of `TOTAL` of several instruments.

    Args:
        series: Rows of one quote asset, each series in the order of time.

    """
    newest: dict[tuple[str, str], tuple[int, ...]] = {}
    best = 0
    for time_us, rows in groupby(merge(*series, key=_time), key=_time):
        for row in rows:
            newest[row.key, row.instance] = _numbers(row)
        realised, unrealised, fees, equity, fills = map(sum, zip(*newest.values(), strict=True))
        capital = equity - realised - unrealised + fees
        best = max(best, equity - capital)
        yield Standing(
            time_us,
            capital=exact(capital, MONEY),
            equity=exact(equity, MONEY),
            realised=exact(realised, MONEY),
            unrealised=exact(unrealised, MONEY),
            fees=exact(fees, MONEY),
            peak=exact(capital + best, MONEY),
            fills=fills,
        )


def quote_of(key: str) -> str:
    """Return the quote asset of an instrument; its whole symbol where none is known.

    >>> quote_of("binance:BTCUSDT"), quote_of("binance:ETHBTC"), quote_of("x:WHAT")
    ('USDT', 'BTC', 'WHAT')
    """
    symbol = Instrument.from_key(key).symbol.partition("_")[0]
    fitting = [name for name in _QUOTES if symbol.endswith(name) and symbol != name]
    return max(fitting, key=len, default=symbol)


def entry_of(row: Equity) -> Decimal:
    """Return the average price of a row's position, to nine places; 0 where there is none."""
    position, value = units_at(row.position, 9), units_at(row.unrealised, MONEY)
    if not position:
        return Decimal(0)
    return exact((position * units_at(row.price, 9) - value) // position, 9)


_time = attrgetter("time_us")


def _numbers(row: Equity) -> tuple[int, ...]:
    amounts = (row.realised, row.unrealised, row.fees, row.equity)
    return (*(units_at(amount, MONEY) for amount in amounts), row.fills)
