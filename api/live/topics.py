"""Topics: what clients ask for, and the names of what comes.

A client asks with patterns (``klines/*/1m``), frames name what they hold (``klines/BTCUSDT/1m``).
A symbol is written as the exchange does; where two exchanges have it, the name is spot's and the
other one's is its key (``klines/binance-usdm:BTCUSDT/1m``). A key is always understood.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from api.problems import ProblemError
from connectors.redis.keys import StreamName
from core.market.errors import CryptoToolsError
from core.market.intervals import interval
from core.market.symbols import SPOT, Instrument

MOST = 200
"""Topics that a client may ask for."""

KNOWN = (
    "klines/{symbol}/{interval}", "trades/{symbol}", "ticker", "signals", "fills", "equity",
    "events", "predictions", "status",
)  # fmt: skip
"""The shapes of topics; ``*`` stands for any symbol or interval."""

_PLAIN = {one for one in KNOWN if "/" not in one}
_FAMILIES = {
    "kline": "klines", "forming": "klines", "trade": "trades", "signal": "signals", "fill": "fills",
    "equity": "equity", "event": "events", "prediction": "predictions",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """Where the entries of a stream go.

    Attributes:
        topic: Its name in frames.
        patterns: What one may have asked for to get it.
        key: The instrument.

    """

    topic: str
    patterns: tuple[str, ...]
    key: str


class Names:
    """The names of instruments in topics, by the instruments that there are."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._names: dict[str, str] = {}
        taken: set[str] = set()
        for key in sorted(keys, key=lambda key: (not key.startswith(f"{SPOT}:"), key)):
            symbol = key.partition(":")[2]
            self._names[key] = key if symbol in taken else symbol
            taken.add(symbol)

    def of(self, key: str) -> str:
        """Return the name of an instrument."""
        return self._names.get(key) or key.partition(":")[2]

    def route(self, stream: StreamName) -> Route | None:
        """Return where a stream's entries go; None if to nobody."""
        family = _FAMILIES.get(stream.kind)
        if family is None:
            return None
        name = self.of(stream.key)
        asked = (name, stream.key, "*")
        if family == "klines":
            patterns = tuple(f"klines/{s}/{i}" for s in asked for i in (stream.interval, "*"))
            return Route(f"klines/{name}/{stream.interval}", patterns, stream.key)
        if family == "trades":
            return Route(f"trades/{name}", tuple(f"trades/{s}" for s in asked), stream.key)
        return Route(family, (family,), stream.key)


def read_topics(texts: Iterable[str]) -> frozenset[str]:
    """Return topics as they are written here.

    Raises:
        ProblemError: One is not known, or there are too many.

    """
    found = frozenset(_read(text) for text in texts if text.strip())
    check_number(len(found))
    return found


def check_number(count: int) -> None:
    """Raise `ProblemError` if nobody may have so many topics."""
    if count > MOST:
        hint = "ask for all symbols at once: klines/*/1m"
        raise ProblemError(422, f"{count} topics, at most {MOST}", field="topics", hint=hint)


@lru_cache(maxsize=4096)
def _read(text: str) -> str:
    family, *parts = text.strip().split("/")
    if family in _PLAIN and not parts:
        return family
    if family == "klines" and len(parts) == 2:
        return f"klines/{_symbol(parts[0], text)}/{_interval(parts[1], text)}"
    if family == "trades" and len(parts) == 1:
        return f"trades/{_symbol(parts[0], text)}"
    raise _unknown(text, "there is no such topic")


def _symbol(part: str, text: str) -> str:
    exchange, colon, symbol = part.rpartition(":")
    if part == "*":
        return part
    try:
        name = Instrument.of(symbol).symbol
    except CryptoToolsError as error:
        raise _unknown(text, str(error)) from None
    return f"{exchange.lower()}{colon}{name}"


def _interval(part: str, text: str) -> str:
    try:
        return part if part == "*" else interval(part).name
    except CryptoToolsError as error:
        raise _unknown(text, str(error)) from None


def _unknown(text: str, why: str) -> ProblemError:
    hint = f"there are {', '.join(KNOWN)}; * stands for any"
    return ProblemError(422, f"topic `{text[:100]}`: {why}", field="topics", hint=hint)
