"""What strategies share that buy below a middle and wait for it: zones, and what crossing says."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import Strategy

BELOW, LOW, HIGH, ABOVE = range(4)


class Levels(NamedTuple):
    """Where the zones end."""

    lower: float
    middle: float
    upper: float

    def zone_of(self, price: float) -> int:
        """Return the zone of a price.

        >>> levels = Levels(1.0, 2.0, 3.0)
        >>> [levels.zone_of(x) for x in (0.5, 1.0, 2.0, 3.0, 3.5)]
        [0, 1, 2, 2, 3]
        """
        if price < self.lower:
            return BELOW
        if price > self.upper:
            return ABOVE
        return HIGH if price >= self.middle else LOW


class Reversion(Strategy):
    """Long when the close comes back from below, flat when it reaches the middle.

    It remembers only in which zone the last close was: so it may say flat where nobody is long.
    """

    state = ("zone",)

    zone: int | None

    @abstractmethod
    def levels(self) -> Levels | None:
        """Return where the zones end now; None where that is not known."""

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return a signal where the close comes back, or reaches the middle."""
        levels = self.levels()
        if levels is None:
            return
        close, before = kline.close, self.zone
        now = self.zone = levels.zone_of(close)
        if before is None or now == before:
            return
        known = levels._asdict()
        shorts = self.params.short
        if before == BELOW and now == LOW:
            yield self.long(kline, f"close {close:.8g} is back above {levels.lower:.8g}", **known)
        elif before <= LOW and now >= HIGH:
            yield self.flat(kline, f"close {close:.8g} reached {levels.middle:.8g}", **known)
        elif shorts and before == ABOVE and now == HIGH:
            yield self.short(kline, f"close {close:.8g} is back below {levels.upper:.8g}", **known)
        elif shorts and before >= HIGH and now <= LOW:
            yield self.flat(kline, f"close {close:.8g} fell to {levels.middle:.8g}", **known)
