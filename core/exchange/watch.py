"""When a symbol's silence is suspicious: adaptive to its own rate, and never proof by itself.

A quiet market looks exactly like a dead stream, so silence only leads to a question: REST is asked
for the newest id. The same id means a quiet market, and the next question waits twice as long. A
newer id that the stream does not bring within `CONFIRM_US` means that the stream is stale.
"""

SECOND_US = 1_000_000
LOOK_US = 5 * SECOND_US
"""Between two looks at all symbols."""
CONFIRM_US = 2 * SECOND_US
"""What REST knows may still be on its way to us for so long."""

_FIRST_US = 30 * SECOND_US
_SHORTEST_US = 10 * SECOND_US
_LONGEST_US = 600 * SECOND_US
# At a mean gap g, a silence of 30 g has a chance of e**-30.
_GAPS = 30.0
_WEIGHT = 0.2


class Watch:
    """One symbol's rate and silence; times are our clock, microseconds."""

    __slots__ = ("_ask_us", "_doublings", "_rate", "_rows", "_since", "claimed", "stales")

    def __init__(self, now_us: int) -> None:
        self._rows = 0
        self._since = now_us
        self._rate = 0.0  # rows per second, smoothed
        self._doublings = 0
        self._ask_us = now_us + _FIRST_US
        self.claimed = -1  # the id that REST has and the stream has not brought
        self.stales = 0  # times in a row that it was found stale

    def look(self, rows: int, now_us: int) -> bool:
        """Say whether the silence is worth a question.

        Args:
            rows: Rows that the stream has brought since the start.
            now_us: Our clock.

        """
        if rows != self._rows:
            fresh = (rows - self._rows) / max(LOOK_US, now_us - self._since) * SECOND_US
            self._rate += _WEIGHT * (fresh - self._rate) if self._rate else fresh
            self._rows, self._since = rows, now_us
            self._doublings = self.stales = 0
            self._ask_us = now_us + self.patience_us
        return now_us >= self._ask_us

    @property
    def patience_us(self) -> int:
        """The silence after which REST is asked, again and again."""
        own = _FIRST_US if not self._rate else int(_GAPS / self._rate * SECOND_US)
        return min(max(_SHORTEST_US, own) << self._doublings, _LONGEST_US)

    def silence_us(self, now_us: int) -> int:
        """Return how long nothing has come, to within `LOOK_US`."""
        return now_us - self._since

    def quiet(self, now_us: int) -> None:
        """REST has nothing newer: the market is quiet, and asked about half as often."""
        self._doublings = min(self._doublings + 1, 20)
        self._ask_us = now_us + self.patience_us
