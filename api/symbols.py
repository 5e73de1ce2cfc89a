"""The symbols that flows follow, and those that the exchange lists."""

import asyncio
import time
from dataclasses import dataclass, field

from api.flows import Flow
from api.problems import ProblemError
from client.control import Listing, Symbol
from connectors.binance.config import BinanceConfig
from connectors.binance.rest import Listed, Rest, RestError

_FRESH_S = 600.0
_AGAIN_S = 20.0


def followed(flow: Flow) -> list[Symbol]:
    """Return the symbols of a flow, with how each is."""
    told = {key.partition(":")[2]: (key, one) for key, one in flow.status.symbols.items()}
    found = []
    for symbol in flow.following:
        key, one = told.get(symbol, (f"{flow.exchange}:{symbol}", {}))
        known = {name: one[name] for name in Symbol.model_fields if name in one}
        found.append(Symbol(symbol=symbol, key=key, flow=flow.name, **known))
    return found


@dataclass(slots=True)
class Listings:
    """What the exchange lists, asked for every ten minutes at most, and only if somebody asks."""

    config: BinanceConfig
    _found: list[Listed] = field(default_factory=list)
    _until: float = 0.0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def all(self) -> list[Listed]:
        """Return all symbols.

        Raises:
            ProblemError: 503, the exchange does not answer, and never has.

        """
        async with self._asking:
            if time.monotonic() >= self._until:
                await self._ask()
        return self._found

    async def _ask(self) -> None:
        rest = Rest(self.config, clock=time.time)
        try:
            self._found = await rest.listed()
            self._until = time.monotonic() + _FRESH_S
        except RestError as error:
            self._until = time.monotonic() + _AGAIN_S
            if not self._found:
                self._until = 0.0
                why = f"{self.config.rest} does not say what it lists: {error}"
                raise ProblemError(503, why, headers={"Retry-After": "20"}) from None
        finally:
            await rest.close()


def search(listed: list[Listed], query: str, followed_: set[str], limit: int) -> list[Listing]:
    """Return what fits a query best first: the symbol itself, its beginning, its base, any part."""
    wanted = query.strip().upper()

    def rank(one: Listed) -> tuple[int, str]:
        marks = (one.symbol == wanted, one.base == wanted, one.symbol.startswith(wanted))
        return next((n for n, hit in enumerate(marks) if hit), len(marks)), one.symbol

    fitting = sorted((one for one in listed if wanted in one.symbol), key=rank)
    return [
        Listing(
            symbol=one.symbol,
            status=one.status,
            base=one.base,
            quote=one.quote,
            followed=one.symbol in followed_,
        )
        for one in fitting[:limit]
    ]
