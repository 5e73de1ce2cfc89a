"""Step: what sources give → what the rest may rely on: ids in order, once, holes named.

Keyed by instrument. Keeps the books: received = accepted + duplicate + rejected (a source that
checks ids itself, such as the live session, counts what it dropped).
"""

from bytewax import operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from connectors.shutdown import telling
from core.continuity import Continuity
from core.market.events import Gap, GapOpened, GapRepaired, Item, Quarantined
from core.market.symbols import USDM
from core.market.trades import Trades
from dataflows.resume import resumed
from telemetry import metrics


class NormalizeLogic(StatefulBatchLogic[Item, Item, tuple[object, ...] | None]):
    """One instrument's `Continuity`."""

    def __init__(self, state: tuple[object, ...] | None) -> None:
        self._continuity = None if state is None else Continuity.restore(state)

    @telling
    def on_batch(self, values: list[Item]) -> tuple[list[Item], bool]:
        """Pass a batch of items."""
        out: list[Item] = []
        for item in values:
            if isinstance(item, Trades):
                out += self._on_trades(item)
            elif isinstance(item, Gap) and self._continuity is not None:
                out.append(self._continuity.on_gap(item))
            else:
                out.append(item)
        for item in out:
            _count(item)
        return out, False

    def snapshot(self) -> tuple[object, ...] | None:
        """Return the state as plain values."""
        return None if self._continuity is None else self._continuity.snapshot()

    def _on_trades(self, trades: Trades) -> list[Item]:
        if self._continuity is None:
            # Single trades of USD-M skip the ids of fills that are not published.
            contiguous = trades.is_aggregate or not trades.key.startswith(f"{USDM}:")
            self._continuity = Continuity(trades.key, contiguous=contiguous)
        books = self._continuity
        before = books.accepted, books.duplicates, books.rejected
        out: list[Item] = [*books.on_trades(trades)]
        metrics.ACCEPTED.labels(books.key).inc(books.accepted - before[0])
        metrics.DUPLICATE.labels(books.key).inc(books.duplicates - before[1])
        metrics.REJECTED.labels(books.key).inc(books.rejected - before[2])
        return out


def _count(item: Item) -> None:
    if isinstance(item, Trades):
        if item.repaired:
            metrics.REPAIRED.labels(item.key).inc(len(item))
    elif isinstance(item, Quarantined):
        metrics.QUARANTINED.labels(item.key).inc()
    elif isinstance(item, GapOpened):
        metrics.GAPS.labels(item.key, "opened").inc()
    elif isinstance(item, GapRepaired):
        metrics.GAPS.labels(item.key, "repaired").inc()
    elif isinstance(item, Gap):
        metrics.GAPS.labels(item.key, "permanent").inc()


def normalize(items: KeyedStream[Item]) -> Stream[tuple[str, Item]]:
    """Return the checked stream, keyed as before."""
    return op.stateful_batch("normalize", items, resumed("normalize", NormalizeLogic))
