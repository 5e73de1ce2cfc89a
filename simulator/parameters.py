"""Query parameters of the REST API, refused with Binance's codes and texts (errors.md)."""

import json
import re
from typing import Final
from urllib.parse import parse_qsl

from simulator.klines import INTERVALS, MINUTE_US
from simulator.market import Listing, Market

MICROSECONDS_FROM: Final = 10**14
"""Times of fewer digits are milliseconds."""

_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)
_NUMBER_RANGE = "^[0-9]{1,20}$"
_SYMBOL_RANGE = "^[\\w\\-._&&[^a-z]]{1,50}$"
_SYMBOL = re.compile(r"(?:(?![a-z])[\w\-.]){1,50}")
_ZONE = re.compile(r"(?P<sign>[+-]?)(?P<hours>\d{1,2})(?::(?P<minutes>\d{2}))?", re.ASCII)
_ZONES = (-12 * 60, 14 * 60)


class RestError(Exception):
    """An answer other than 200: HTTP status, Binance's code and text."""

    def __init__(self, code: int, text: str, *, status: int = 400) -> None:
        self.code, self.text, self.status = code, text, status

    def __str__(self) -> str:
        return f"{self.status}: {self.code} {self.text}"

    def body(self) -> str:
        """Return the answer's body."""
        return json.dumps({"code": self.code, "msg": self.text}, separators=(",", ":"))


class Parameters:
    """The parameters of one request; each method reads one, or refuses."""

    def __init__(self, query: str, allowed: tuple[str, ...] | None) -> None:
        pairs = parse_qsl(query, keep_blank_values=True)
        self._values = dict(pairs)
        if len(self._values) != len(pairs):
            raise RestError(-1101, "Duplicate values for a parameter detected.")
        read = len(pairs) if allowed is None else sum(name in allowed for name in self._values)
        if read != len(pairs):
            raise RestError(
                -1104,
                f"Not all sent parameters were read; read '{read}' parameter(s) "
                f"but was sent '{len(pairs)}'.",
            )

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """Return a parameter, or None when it was not sent."""
        value = self._values.get(name)
        if value == "":
            raise RestError(-1105, f"Parameter '{name}' was empty.")
        return value

    def required(self, name: str) -> str:
        """Return a parameter that must be there."""
        value = self._values.get(name)
        if not value:
            raise RestError(
                -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
            )
        return value

    def number(self, name: str) -> int | None:
        """Return a whole number, or None when it was not sent."""
        value = self.text(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            raise _illegal(name, _NUMBER_RANGE)
        if int(value) >= 2**63:
            raise RestError(-1108, f"Parameter '{name}' overflowed.")
        return int(value)

    def limit(self, usual: int = 500, most: int = 1000) -> int:
        """Return the number of rows: the usual one unless told, and never more than the most."""
        limit = self.number("limit")
        if limit is None:
            return usual
        if limit < 1 or not (limit := self.at_most(limit, most)):
            raise RestError(-1130, "Data sent for parameter 'limit' is not valid.")
        return limit

    @staticmethod
    def at_most(limit: int, most: int) -> int:
        """Return the number of rows for a limit that may be too large; 0 refuses it."""
        # Spot answers larger numbers with 1000 rows, without a word.
        return min(limit, most)

    def time(self, name: str, *, end: bool = False) -> int | None:
        """Return a time in microseconds; of an inclusive `end` in milliseconds, its last one."""
        value = self.number(name)
        if value is None or value >= MICROSECONDS_FROM:
            return value
        return value * 1000 + (999 if end else 0)

    def listing(self, market: Market) -> Listing:
        """Return what the symbol names."""
        return find(market, self.required("symbol"), "symbol")

    def interval(self) -> str:
        """Return the kline interval."""
        name = self.required("interval")
        if name not in INTERVALS:
            raise RestError(-1120, "Invalid interval.")
        return name

    def zone_us(self) -> int:
        """Return the time zone's distance from UTC in microseconds."""
        text = self.text("timeZone")
        match = _ZONE.fullmatch(text.strip()) if text else None
        if text is None:
            return 0
        if match is None:
            raise RestError(-1130, "Data sent for parameter 'timeZone' is not valid.")
        minutes = 60 * int(match["hours"]) + int(match["minutes"] or 0)
        minutes *= -1 if match["sign"] == "-" else 1
        if not _ZONES[0] <= minutes <= _ZONES[1] or int(match["minutes"] or 0) > 59:
            raise RestError(-1130, "Data sent for parameter 'timeZone' is not valid.")
        return minutes * MINUTE_US

    def listings(self, market: Market) -> list[Listing]:
        """Return what `symbol` or `symbols` name, else all."""
        if "symbol" in self and "symbols" in self:
            raise RestError(-1128, "Combination of optional parameters invalid.")
        if "symbol" in self:
            return [self.listing(market)]
        text = self.text("symbols")
        if text is None:
            return list(market.listings.values())
        names = _names(text)
        if len(set(names)) != len(names):
            raise RestError(-1151, "Symbol is present multiple times in the list.")
        return [find(market, name, "symbols") for name in names]


def find(market: Market, symbol: str, parameter: str) -> Listing:
    """Return the listing of a symbol, or refuse."""
    if not _SYMBOL.fullmatch(symbol):
        raise _illegal(parameter, _SYMBOL_RANGE)
    listing = market.listings.get(symbol)
    if listing is None:
        raise RestError(-1121, "Invalid symbol.")
    return listing


def _names(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise _illegal("symbols", _SYMBOL_RANGE)
    return names


def _illegal(parameter: str, legal: str) -> RestError:
    return RestError(
        -1100, f"Illegal characters found in parameter '{parameter}'; legal range is '{legal}'."
    )
