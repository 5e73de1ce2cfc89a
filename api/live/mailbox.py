"""What waits for one client in the market lane: of each value the newest, of trades the last few.

A slow client finds less in it, never more: its size depends on how much there is to see.
"""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

Path = tuple[str, ...]
"""A topic, and within it a key, and within that an instance, as far as it has them."""

TAPE = 50
"""Trades of a topic that wait."""

_MOST = 20_000
"""Values that wait: more than 2,000 symbols have on six intervals, and a ticker."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the market lane.

    Attributes:
        body: JSON.
        opens_ms: Where it is a kline, when its window began; else -1.

    """

    body: bytes
    opens_ms: int = -1


@dataclass(slots=True)
class Tape:
    """The last trades of a topic.

    Attributes:
        trades: JSON of each, oldest first.
        fresh: How many came since it was looked at.
        total: How many came at all.

    """

    trades: deque[bytes] = field(default_factory=lambda: deque(maxlen=TAPE))
    fresh: int = 0
    total: int = 0

    def add(self, trades: Iterable[bytes], count: int) -> None:
        """Add the newest of `count` trades that came."""
        self.trades.extend(trades)
        self.fresh += count
        self.total += count

    @property
    def skipped(self) -> int:
        """How many of those that came are not here."""
        return max(0, self.fresh - len(self.trades))

    def clear(self) -> None:
        """Begin anew, the total apart."""
        self.trades.clear()
        self.fresh = 0


class Mailbox:
    """Values and trades for one client."""

    def __init__(self) -> None:
        self._values: dict[Path, Value] = {}
        self._tapes: dict[str, Tape] = {}
        self._replaced = self._dropped = 0

    def __len__(self) -> int:
        """Return how much waits."""
        return len(self._values) + sum(len(tape.trades) for tape in self._tapes.values())

    def put(self, path: Path, value: Value) -> None:
        """Put a value in place of the one that waits there."""
        self._replaced += path in self._values
        self._values[path] = value
        if len(self._values) > _MOST:
            del self._values[next(iter(self._values))]
            self._dropped += 1

    def counted(self) -> tuple[int, int]:
        """Return how many values were replaced and dropped unseen since this was last asked."""
        found = self._replaced, self._dropped
        self._replaced = self._dropped = 0
        return found

    def close(self, topic: str, opens_ms: int) -> None:
        """Drop a forming kline whose window is final by now, or older."""
        waiting = self._values.get((topic,))
        if waiting is not None and waiting.opens_ms <= opens_ms:
            del self._values[topic,]

    def trade(self, topic: str, trades: Iterable[bytes], count: int) -> None:
        """Add the newest of `count` trades that came."""
        self._tapes.setdefault(topic, Tape()).add(trades, count)

    def keep(self, paths: Collection[Path], topics: Collection[str]) -> None:
        """Forget all but these values and tapes."""
        self._values = {path: value for path, value in self._values.items() if path in paths}
        self._tapes = {topic: tape for topic, tape in self._tapes.items() if topic in topics}

    def drain(self, *, klines: bool = True) -> tuple[dict[Path, Value], dict[str, Tape]]:
        """Return what waits, and begin anew; klines only on demand. Tapes are lent, to be cleared.

        A forming kline must not come before the closes that precede it.
        """
        kept = {} if klines else {p: v for p, v in self._values.items() if v.opens_ms >= 0}
        values = {path: value for path, value in self._values.items() if path not in kept}
        self._values = kept
        return values, {topic: tape for topic, tape in self._tapes.items() if tape.fresh}
