"""Lines that cannot be used → events that name file, line and value, a bounded number of them."""

from pathlib import Path

from core.market.events import PAYLOAD_LIMIT, Quarantined
from core.market.position import Positions

LIMIT = 1000
"""So many lines of a file are named one by one; the rest as a number."""


class Refusals:
    """Names what of one file cannot be used.

    Attributes:
        time_us: Time in the data, as far as it is known.
        count: Lines refused so far.
        first, last: Number of the first and of the last of them; 0 for none.

    """

    def __init__(self, key: str, path: Path, positions: Positions, time_us: int = 0) -> None:
        self.time_us = time_us
        self.count = self.first = self.last = 0
        self._key, self._path, self._positions = key, path, positions

    def lines(self, found: list[tuple[int, str, str]]) -> list[Quarantined]:
        """Refuse lines, given as (number, reason, text); return the events that say so."""
        named = found[: max(0, LIMIT - self.count)]
        self.count += len(found)
        for number, _, _ in found:
            self.first = min(self.first or number, number)
            self.last = max(self.last, number)
        return [self.say(why, number, text) for number, why, text in named]

    def rest(self) -> list[Quarantined]:
        """Return the event that counts the lines that were not named, if there were any."""
        left = self.count - LIMIT
        if left <= 0:
            return []
        why = f"{left} more lines cannot be used; the last is line {self.last}"
        return [self.say(why, self.last, "")]

    def torn(self, line: int, why: str) -> Quarantined:
        """Say that a file cannot be read from a line on; what stands before it is kept."""
        return self.say(f"the file is cut off or damaged here ({why})", line, "")

    def say(self, why: str, line: int, text: str) -> Quarantined:
        """Return an event about a line."""
        at = self._positions.at(self.time_us)
        source = f"{self._path.name}:{line}"
        return Quarantined(self._key, self.time_us, at, why, source, text[:PAYLOAD_LIMIT])
