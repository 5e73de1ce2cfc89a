"""The only sink of a back-test: everything that the flow says, kept in compact columns."""

from array import array
from collections import Counter
from dataclasses import dataclass, field

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from core.ledger.certificate import time_text
from core.market.events import Event, Gap, KlineGap, Quarantined, StrategyErrored
from core.market.kline import Kline, Status
from core.market.paper import TOTAL, Equity, Fill
from core.market.signal import Signal
from core.market.trades import Trades
from dataflows.backtest_window import Opening, Window
from dataflows.outputs import Record

Account = tuple[str, str]
"""Key of the instrument, and instance."""

_MOST_TOLD = 50


@dataclass(slots=True)
class Klines:
    """Final klines of one instrument and interval, as columns of equal length, oldest first."""

    close_us: "array[int]" = field(default_factory=lambda: array("q"))
    open: "array[float]" = field(default_factory=lambda: array("d"))
    high: "array[float]" = field(default_factory=lambda: array("d"))
    low: "array[float]" = field(default_factory=lambda: array("d"))
    close: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, kline: Kline) -> None:
        """Append one."""
        self.close_us.append(kline.close_us)
        self.open.append(kline.open)
        self.high.append(kline.high)
        self.low.append(kline.low)
        self.close.append(kline.close)

    def __len__(self) -> int:
        return len(self.close_us)


@dataclass(slots=True)
class Worth:
    """Equity of one account at closes of klines, as columns; none where it did not change."""

    close_us: "array[int]" = field(default_factory=lambda: array("q"))
    equity: "array[float]" = field(default_factory=lambda: array("d"))
    side: "array[int]" = field(default_factory=lambda: array("b"))
    last: Equity | None = None

    def add(self, row: Equity) -> None:
        """Append a row."""
        self.close_us.append(row.time_us)
        self.equity.append(float(row.equity))
        self.side.append((row.position > 0) - (row.position < 0))
        self.last = row


@dataclass(slots=True)
class Quality:
    """What was wrong with the data of one instrument.

    Attributes:
        told: The first gaps and quarantined rows, as text.

    """

    klines: int = 0
    incomplete: int = 0
    gaps: int = 0
    missing_klines: int = 0
    quarantined: int = 0
    rows: int = 0
    told: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a text, if there are not too many."""
        if len(self.told) < _MOST_TOLD:
            self.told.append(text)


@dataclass(slots=True)
class Collected:
    """All that one run said.

    Args:
        window: What counts; klines and signals behind its end are left out.
        intervals: Names of those whose klines are kept.

    """

    window: Window
    intervals: frozenset[str]
    klines: dict[tuple[str, str], Klines] = field(default_factory=dict)
    openings: dict[str, Opening] = field(default_factory=dict)
    signals: dict[Account, list[Signal]] = field(default_factory=dict)
    fills: dict[Account, list[Fill]] = field(default_factory=dict)
    worth: dict[Account, Worth] = field(default_factory=dict)
    errors: dict[Account, str] = field(default_factory=dict)
    quality: dict[str, Quality] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)

    def take(self, key: str, record: Record) -> None:
        """Take one record."""
        match record:
            case Equity() | Fill():
                self._on_paper(key, record)
            case Kline():
                self._on_kline(key, record)
            case Signal():
                if record.close_us < self.window.end_us:
                    self.signals.setdefault((key, record.instance), []).append(record)
            case Trades():
                self._quality(key).rows += len(record)
            case Event():
                self._on_event(key, record)

    def _on_paper(self, key: str, record: Equity | Fill) -> None:
        account = (key, record.instance)
        if isinstance(record, Fill):
            self.fills.setdefault(account, []).append(record)
        elif record.instance != TOTAL:
            self.worth.setdefault(account, Worth()).add(record)

    def _on_kline(self, key: str, kline: Kline) -> None:
        if kline.status is not Status.FINAL or kline.revision:
            return
        if key not in self.openings:
            self.openings[key] = Opening(self.window)
        self.openings[key].on_kline(kline)
        name = kline.interval.name
        if kline.close_us >= self.window.end_us or name not in self.intervals:
            return
        self.klines.setdefault((key, name), Klines()).add(kline)
        quality = self._quality(key)
        quality.klines += 1
        quality.incomplete += not kline.complete

    def _on_event(self, key: str, event: Event) -> None:
        self.events[event.kind] += 1
        quality = self._quality(key)
        match event:
            case StrategyErrored():
                self.errors[key, event.instance] = event.detail
            case Gap():
                quality.gaps += 1
                quality.note(f"trades {event.first_id} to {event.last_id} are missing")
            case KlineGap():
                quality.missing_klines += 1
                between = f"{time_text(event.open_us)} to {time_text(event.end_us)}"
                quality.note(f"klines of {event.interval} are missing: {between}")
            case Quarantined():
                quality.quarantined += 1
                quality.note(f"quarantined: {event.reason}")

    def _quality(self, key: str) -> Quality:
        return self.quality.setdefault(key, Quality())


class CollectSink(DynamicSink[tuple[str, Record]]):
    """Gives every record to one `Collected` of this process; for a flow of one worker."""

    def __init__(self, into: Collected) -> None:
        self._into = into

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> "_Collecting":
        """Return a partition."""
        return _Collecting(self._into)


class _Collecting(StatelessSinkPartition[tuple[str, Record]]):
    def __init__(self, into: Collected) -> None:
        self._into = into

    def write_batch(self, items: list[tuple[str, Record]]) -> None:
        """Take a batch."""
        for key, record in items:
            self._into.take(key, record)
