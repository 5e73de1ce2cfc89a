"""How long rows take to Redis: batches whose rows it has not all taken yet."""

from collections import deque

from connectors.redis.outbox import Outbox
from core.market.trades import Trades
from telemetry.passage import PASSAGE


class OnTheWay:
    """Batches of trades by instrument, each with the place of its last row in the outbox.

    Args:
        outbox: Where the rows are; at most as many batches are noted as it holds rows.

    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._batches: dict[str, deque[tuple[int, int, int]]] = {}

    def note(self, trades: Trades) -> None:
        """Note a batch that was just put there."""
        stamp = PASSAGE.of(trades.key, int(trades.id[-1])) if len(trades) else None
        if stamp is not None:
            place = self._outbox.end(trades.key)
            waiting = self._batches.setdefault(trades.key, deque())
            waiting.append((place, stamp.received_ns, stamp.rows))

    def taken(self, key: str) -> None:
        """Note that the server has taken rows."""
        waiting = self._batches.get(key)
        if not waiting:
            return
        reached = self._outbox.reached(key)
        while waiting and waiting[0][0] <= reached:
            _, received_ns, rows = waiting.popleft()
            PASSAGE.arrived("redis", received_ns, rows)
