"""A day's klines once more from its trades, to hold the stored ones against."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from core.audit import difference
from core.continuity import Continuity
from core.klines import KlineBuilder
from core.market.events import Gap
from core.market.intervals import DAY_US, Interval
from core.market.kline import Kline
from core.market.trades import Trades

_DETAILS = 20


class Differing(NamedTuple):
    """A stored kline that is not what the trades give; `detail` names the fields."""

    open_us: int
    detail: str


@dataclass(frozen=True, slots=True)
class KlineCheck:
    """Stored klines of one interval against those recounted.

    Attributes:
        interval: Its name.
        stored: Windows stored, each once.
        equal: Those that equal the trades in every field.
        differing: How many do not, or are missing though there was trade.
        examples: The first of these.
        partial: Stored windows that say of themselves that they are not complete.
        revised: Stored windows that were issued again.

    """

    interval: str
    stored: int
    equal: int
    differing: int
    examples: tuple[Differing, ...]
    partial: int
    revised: int


class Recount:
    """Builds the klines of one interval for the UTC day that begins at `day_us`."""

    def __init__(self, key: str, day_us: int, interval: Interval, *, contiguous: bool) -> None:
        self._day = range(day_us, day_us + DAY_US)
        self._builder = KlineBuilder(key, base=interval, intervals=(interval,), grace_us=0)
        self._continuity = Continuity(key, contiguous=contiguous)
        self._klines: dict[int, Kline] = {}
        self._open_us = self._day.stop  # from here on windows need not be final yet
        self._last_us = self._day.start

    def begin(self, before: Trades | None) -> None:
        """Start with the last trade before the day, whose price empty windows have."""
        if before is None:
            self._builder.on_tick(self._day.start)
        else:
            self.add(before)

    def add(self, trades: Trades) -> None:
        """Take rows in id order; what was there before is dropped."""
        for item in self._continuity.on_trades(trades):
            if isinstance(item, Trades):
                self._last_us = max(self._last_us, int(item.time_us[-1]))
                self._keep(self._builder.on_trades(item))
            elif isinstance(item, Gap):
                self._builder.on_gap(item)

    def end(self, *, more: bool) -> None:
        """Close the windows of the day; with no `more` behind it the last one may still be open."""
        if not more:
            self._open_us = self._builder.base.open_of(self._last_us)
        self._keep(self._builder.on_tick(self._day.stop))

    def check(self, stored: Iterable[Kline]) -> KlineCheck:
        """Compare with stored klines; of those issued again the last revision counts.

        A window without trade may be stored or not: the exchange itself gives none in a break.
        """
        theirs: dict[int, Kline] = {}
        for kline in stored:
            known = theirs.get(kline.open_us)
            if kline.open_us in self._day and (known is None or kline.revision >= known.revision):
                theirs[kline.open_us] = kline
        wrong: list[Differing] = []
        known_us = {at for at in self._klines if at < self._open_us}
        for open_us in sorted(theirs.keys() | known_us):
            detail = _detail(self._klines.get(open_us), theirs.get(open_us))
            if detail:
                wrong.append(Differing(open_us, detail))
        absent = sum(1 for d in wrong if d.open_us not in theirs)
        return KlineCheck(
            interval=self._builder.base.name,
            stored=len(theirs),
            equal=len(theirs) - len(wrong) + absent,
            differing=len(wrong),
            examples=tuple(wrong[:_DETAILS]),
            partial=sum(1 for k in theirs.values() if not k.complete),
            revised=sum(1 for k in theirs.values() if k.revision),
        )

    def _keep(self, built: Iterable[object]) -> None:
        for item in built:
            if isinstance(item, Kline) and item.open_us in self._day:
                self._klines[item.open_us] = item


def _detail(ours: Kline | None, stored: Kline | None) -> str:
    if ours is not None and stored is not None:
        return difference(stored, ours)
    if ours is not None:
        return f"not stored, though there were {ours.trades} trades" if ours.trades else ""
    if stored is not None and stored.trades:
        return f"stored with {stored.trades} trades, none of which is held"
    return ""
