"""Streams of USD-M by name and route, and what each says.

A connection has a route: ``/market``, ``/public``, ``/private``, or none as it was until April
2026. A stream says nothing on another route than its own, though it is acknowledged there
(binance-public-data#472, cryptofeed#1128): a healthy socket without data.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from simulator.klines import INTERVALS, Kline
from simulator.market import Listing
from simulator.session import Target, parse_target
from simulator.streams import BlockChannel, Channel, Channels, KlineChannel, StreamName
from simulator.usdm import wire

MARKET: Final = "/market"
ROUTES: Final = (MARKET, "/public", "/private")

_MS = 1000
_KLINE_TICK_US = 250_000
_NAME = re.compile(r"(?P<symbol>[^\s@/!\"\\]{1,40})@(?P<kind>[^\s\"\\]+)")
_KLINE = re.compile(r"kline_(?P<interval>[0-9]+[a-zA-Z])")
# Accepted, and never said anything on: `trade` is undocumented, the others are not simulated.
_SILENT = re.compile(
    r"trade|markPrice(@1s)?|indexPrice(@1s)?|miniTicker|ticker|bookTicker|forceOrder|assetIndex"
    r"|compositeIndex|rpiDepth@500ms|depth(5|10|20)?(@(0|100|250|500)ms)?"
    r"|continuousKline_[0-9]+[a-zA-Z]"
)
_ALL_MARKET = re.compile(
    r"!(markPrice@arr(@1s)?|miniTicker@arr|ticker@arr|bookTicker|forceOrder@arr|contractInfo"
    r"|assetIndex@arr)|tradingSession"
)


def parse_stream(name: str) -> StreamName | None:
    """Return the parts of a name, or None when it is malformed."""
    if _ALL_MARKET.fullmatch(name):
        return StreamName("", "silent")
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    symbol, kind = match["symbol"], match["kind"]
    if kind == "aggTrade":
        return StreamName(symbol, kind)
    kline = _KLINE.fullmatch(kind)
    if kline and kline["interval"] in INTERVALS:
        # There is no kline of a second; the name is well-formed all the same.
        silent = kline["interval"] == "1s"
        return StreamName(symbol, "silent" if silent else "kline", kline["interval"])
    return StreamName(symbol, "silent") if _SILENT.fullmatch(kind) else None


def parse_usdm_target(target: str) -> Target | None:
    """Return what the URL of a handshake asks for, and on which route; times are milliseconds."""
    path = urlsplit(target).path
    route = next((r for r in ROUTES if path.startswith(f"{r}/")), "")
    found = parse_target(_without_unit(target.removeprefix(route)))
    return None if found is None else found._replace(unit=_MS, route=route)


def _without_unit(target: str) -> str:
    # Spot's parameter means nothing here.
    path, mark, query = target.partition("?")
    kept = [part for part in query.split("&") if not part.startswith("timeUnit=")]
    return f"{path}{mark}{'&'.join(kept)}"


class UsdmChannels(Channels):
    """The channels of the market route."""

    def parse(self, name: str) -> StreamName | None:
        """Return the parts of a name, or None when it is malformed."""
        return parse_stream(name)

    def _trades(
        self, listing: Listing, name: StreamName, stream: str, unit: int, wrap: tuple[str, str]
    ) -> Channel:
        return BlockChannel(
            listing.tape, lambda block: wire.aggregate_frames(block, listing, stream, wrap)
        )

    def _klines(
        self, listing: Listing, name: StreamName, unit: int, wrap: tuple[str, str]
    ) -> Channel:
        def make(kline: Kline, event_us: int, closed: bool) -> str:
            text = wire.kline_payload(kline, event_us, listing, name.interval, closed=closed)
            return f"{wrap[0]}{text}{wrap[1]}"

        return KlineChannel(listing, name, self._kline_mode, make, tick_us=_KLINE_TICK_US)


class DeafChannels(UsdmChannels):
    """The channels of any other route: names are taken, and nothing is ever said."""

    def find(self, stream: str, unit: int, *, combined: bool) -> Channel | None:
        """Return None."""
        return None
