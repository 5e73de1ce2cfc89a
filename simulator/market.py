"""The market of a simulated exchange: symbols, their trades and klines; no clock, no sockets."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.market.errors import ConfigError
from simulator.config import START, MarketSettings, RecordedSettings
from simulator.klines import KlineOracle
from simulator.recorded import read_tape
from simulator.statuses import ALWAYS_TRADING, Statuses
from simulator.synthetic import SyntheticTape
from simulator.tape import SECOND_US, Tape
from simulator.usdm.tape import UsdmTape

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "TRY", "EUR", "BRL", "USD")


@dataclass(frozen=True, slots=True)
class Listing:
    """One symbol as the exchange lists it."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    tape: Tape
    klines: KlineOracle
    statuses: Statuses = ALWAYS_TRADING


@dataclass(frozen=True, slots=True)
class Market:
    """All that is traded.

    Attributes:
        listings: By symbol, in upper case.
        start_us: Exchange time at which the simulation starts.

    """

    listings: dict[str, Listing]
    start_us: int

    def advance(self, now_us: int) -> None:
        """Make the trades up to a time now, so that nobody has to wait for them later."""
        for listing in self.listings.values():
            listing.tape.count_before(now_us)
            listing.klines.advance(now_us)


def open_market(settings: MarketSettings, *, now: datetime) -> Market:
    """Return the market of the settings; `now` is the time that a start of ``now`` means."""
    if settings.recorded:
        listings = [_recorded(recorded, settings) for recorded in settings.recorded]
        first = min(listing.tape.begin_us for listing in listings)
        start_us = first if settings.start is None else _start_us(settings, now)
    else:
        start_us = _start_us(settings, now)
        listings = _synthetic(settings, start_us - round(settings.history * SECOND_US))
    by_symbol = {listing.symbol: listing for listing in listings}
    if len(by_symbol) != len(listings):
        raise ConfigError("market", "a symbol is there twice", hint="give each symbol once")
    return Market(by_symbol, start_us)


def _start_us(settings: MarketSettings, now: datetime) -> int:
    start = settings.start or START
    if start == "now":
        start = now.replace(second=0, microsecond=0)
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    return (start - _EPOCH) // timedelta(microseconds=1)


def _synthetic(settings: MarketSettings, begin_us: int) -> list[Listing]:
    listings = []
    for s in settings.symbols:
        tape = _shown(
            SyntheticTape(
                s, seed=settings.seed, begin_us=begin_us, bookkeeping=settings.bookkeeping
            ),
            settings,
        )
        listings.append(Listing(s.symbol, s.base, s.quote, s.tick, s.step, tape, KlineOracle(tape)))
    return listings


def _recorded(recorded: RecordedSettings, settings: MarketSettings) -> Listing:
    symbol, read = read_tape(recorded.path, recorded.symbol.upper())
    quote = next((q for q in _QUOTES if symbol.endswith(q) and symbol != q), "")
    base = symbol.removesuffix(quote)
    tick, step = read.grids()
    tape = _shown(read, settings)
    return Listing(symbol, base, quote, tick, step, tape, KlineOracle(tape))


def _shown(tape: Tape, settings: MarketSettings) -> Tape:
    """Return a tape as the product shows it."""
    return tape if settings.product == "spot" else UsdmTape(tape, unpublished=settings.unpublished)
