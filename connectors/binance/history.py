"""Trades of the past by REST, for whoever is no running session: pages by id, in order.

The same conversation as in a live repair (`core.exchange.repair`), carried out at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson

from connectors.binance.config import BinanceConfig
from connectors.binance.rest import Rest, RestError
from core.exchange.columns import Columns
from core.exchange.repair import Deliver, Fetch, Hole, Missing, Page, Wait, repair
from core.exchange.tape import row_of
from core.exchange.wire import parse_page
from core.market.errors import ServiceError, WireError
from core.market.trades import Trades

_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Span:
    """Ids ``first..last``, inclusive."""

    first: int
    last: int


class History:
    """Past trades of one exchange.

    Args:
        config: Where to ask.
        patience: Seconds without progress after which it gives up.

    """

    def __init__(self, config: BinanceConfig, *, patience: float = _PATIENCE_S) -> None:
        self._config = config
        self._rest = Rest(config, clock=time.time)
        self._before = self._rest.budget.spent
        self._patience = patience
        self._aggregate = config.feed == "aggTrade"

    @property
    def weight(self) -> int:
        """REST weight that this history has asked for."""
        return self._rest.budget.spent - self._before

    async def close(self) -> None:
        """Close the connections."""
        await self._rest.close()

    async def first_id_at(self, symbol: str, time_us: int) -> int:
        """Return the id of the first trade (or aggregate) at or after a time.

        Raises:
            ServiceError: The exchange cannot be asked, or has nothing from then on.

        """
        try:
            text = await self._rest.since(symbol, time_us // 1000)
            rows = parse_page(text, aggregate=True)
        except (RestError, WireError) as error:
            raise ServiceError("exchange", str(error)) from None
        for row in rows:
            first = row.id if self._aggregate else getattr(row, "first_id", -1)
            if first >= 0:
                return int(first)
        why = f"{symbol} has no trades within an hour of that time"
        raise ServiceError("exchange", why, hint="give ids, as `cryptotools gaps` names them")

    async def fetch(self, symbol: str, span: Span) -> AsyncIterator[Trades | Missing]:
        """Yield the trades of a span in id order, and what the exchange does not have.

        Raises:
            ConfigError: The exchange does not have the symbol.
            ServiceError: Nothing came for so long.

        """
        try:
            info = await self._rest.info((symbol,))
        except RestError as error:
            raise ServiceError("exchange", str(error)) from None
        key = f"{self._config.place.exchange}:{symbol}"
        steps = repair(Hole(span.first, span.last))
        page: Page = None
        came = time.monotonic()
        action = next(steps, None)
        while action is not None:
            if isinstance(action, Deliver | Missing):
                came, page = time.monotonic(), None
                if isinstance(action, Missing):
                    yield action
                else:
                    for batch in self._batches(key, info.scales[symbol], action):
                        yield batch
            elif time.monotonic() - came > self._patience:
                why = f"{symbol}: no answer that helps for {self._patience:g} s"
                raise ServiceError("exchange", why, hint="ask again later; nothing is lost")
            else:
                page = await self._ask(symbol, action)
            try:
                action = steps.send(page)
            except StopIteration:
                return

    async def _ask(self, symbol: str, action: Fetch | Wait) -> Page:
        if isinstance(action, Wait):
            await asyncio.sleep(action.seconds)
            return None
        try:
            text = await self._rest.trades(symbol, action.from_id, action.limit)
            return parse_page(text, aggregate=self._aggregate)
        except (RestError, WireError, orjson.JSONDecodeError):
            return None

    def _batches(self, key: str, scales: tuple[int, int], page: Deliver) -> list[Trades]:
        columns = Columns(key, *scales)
        for row in page.rows:
            columns.append(row_of(row), aggregate=self._aggregate, repaired=True)
        return columns.drain()
