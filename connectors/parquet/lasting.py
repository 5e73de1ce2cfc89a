"""How long rows take to last: batches of trades that no snapshot has synced yet."""

from collections import deque
from time import monotonic_ns

from core.market.trades import Trades
from telemetry.passage import PASSAGE

_MOST = 8192


class Lasting:
    """The newest batches since the last snapshot; where none is ever taken, nothing is measured."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int]] = deque(maxlen=_MOST)

    def note(self, trades: Trades) -> None:
        """Note a batch that was taken."""
        stamp = PASSAGE.of(trades.key, int(trades.id[-1])) if PASSAGE and len(trades) else None
        if stamp is not None:
            self._batches.append((stamp.received_ns, stamp.rows))

    def lasts(self) -> None:
        """Note that all of them outlast a crash from now on."""
        now = monotonic_ns()
        for received_ns, rows in self._batches:
            PASSAGE.arrived("lake", received_ns, rows, now)
        self._batches.clear()
