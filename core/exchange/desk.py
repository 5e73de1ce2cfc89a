"""What the parts of a session share: plan, clocks, deadlines, and what it says and wants."""

from typing import TYPE_CHECKING

from core.market.events import PAYLOAD_LIMIT, Event, Frame, Item, Quarantined
from core.market.position import Positions

if TYPE_CHECKING:
    from core.exchange.plan import Plan
    from core.exchange.requests import Request

SECOND_US = 1_000_000


class Desk:
    """One session's state that is nobody's own.

    Attributes:
        plan: Symbols, feed, and where to begin.
        now_us: Our clock at the latest input.
        clock_us: The exchange's clock as far as it is known.
        due: Alarms by name, ``<what> <of whom>``: when, on our clock.
        requests: What is wanted and not yet taken.
        items: What was said and not yet taken.

    """

    def __init__(self, plan: "Plan") -> None:
        self.plan = plan
        self.now_us = 0
        self.clock_us = plan.clock_us
        self.due: dict[str, int] = {}
        self.requests: list[Request] = []
        self.items: list[tuple[str, Item]] = []
        self.source = "link "
        self._positions = Positions()
        self._next_request = 1

    def time(self) -> int:
        """Return the exchange's time, or ours while that is unknown."""
        return self.clock_us or self.now_us

    def number(self, count: int = 1) -> int:
        """Return the first of so many new request numbers."""
        self._next_request += count
        return self._next_request - count

    def alarm(self, name: str, in_us: int) -> None:
        """Set an alarm, or set it anew."""
        self.due[name] = self.now_us + in_us

    def position(self) -> int:
        """Return the next data position of what concerns the whole connection."""
        return self._positions.at(self.time())

    def say(self, event: Event) -> None:
        """Say something of the whole connection."""
        self.items.append((event.key, event))

    def quarantine(self, reason: str, frame: Frame) -> None:
        """Say that an input could not be used."""
        source = f"{self.source}{frame.link}"
        payload = frame.payload[:PAYLOAD_LIMIT]
        key, position = self.plan.key, self.position()
        self.say(Quarantined(key, self.time(), position, reason, source, payload))
