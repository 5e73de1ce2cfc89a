"""From one link to the next without a break: the new one's rows wait until the old one meets them.

    old link   … 7 8 9 10 11 12 …            delivers as before
    new link              11 12 13 …         held, until 10 has come by the old one: joined

Joined by id, no row is missing and none is asked of REST. What comes twice is dropped as ever.
"""

from core.exchange.columns import Row

JOIN_US = 30_000_000
"""After this the old link is given up; what is missing then is repaired as after any loss."""
_LIMIT = 20_000

Held = list[tuple[Row, int]]
"""Rows with the exchange's time at which they came."""


class Handover:
    """The overlap of two links.

    Attributes:
        old: Number of the link that is to go.
        new: Number of the link that takes over.
        waiting: Symbols that are not joined yet.

    """

    def __init__(self, old: int, new: int, symbols: tuple[str, ...]) -> None:
        self.old, self.new = old, new
        self.waiting = set(symbols)
        self._held: dict[str, Held] = {}

    def holds(self, link: int, symbol: str) -> bool:
        """Say whether rows that this link brings must wait."""
        return link == self.new and symbol in self.waiting

    def hold(self, symbol: str, row: Row, clock_us: int) -> None:
        """Keep a row of the new link; a full buffer begins anew with later rows."""
        held = self._held.setdefault(symbol, [])
        if len(held) >= _LIMIT:
            held.clear()
        held.append((row, clock_us))

    def meets(self, symbol: str, next_id: int | None) -> bool:
        """Say whether what was delivered reaches the rows that wait."""
        held = self._held.get(symbol)
        return held is not None and next_id is not None and held[0][0][0] <= next_id

    def release(self, symbol: str) -> Held:
        """Return the rows that waited, in order; the symbol is joined."""
        self.waiting.discard(symbol)
        return self._held.pop(symbol, [])
