"""The lake against somebody else's word: the exchange's REST klines, or an archive file.

Rows that are equal, that differ (and in what), that only one side has. Read in step, batch by
batch: neither side is held whole.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from connectors.archive.klines import KlinesReader
from connectors.archive.names import ArchiveFile, Kind
from connectors.archive.trades import TradesReader
from connectors.parquet.reader import read_klines, read_trades
from core.continuity import Continuity
from core.ledger.certificate import time_text
from core.ledger.matching import Difference, compare, safe_cut, trade_ids
from core.market.intervals import DAY_US, Interval, interval
from core.market.kline import MEASURES, Kline
from core.market.trades import Trades, concat

Fields = dict[str, str]
"""A kline's measures as canonical text, and its number of trades."""

_KEPT = 1000
_OF_OTHERS = ("quote_volume", "taker_buy_volume", "taker_buy_quote_volume", "trades")


@dataclass(slots=True)
class Outcome:
    """What a comparison found; of the differences at most 1,000 are kept.

    `what` is who was asked: a file's name, an address. `rows` says what was counted: klines, or
    trades (groups of them, where one side has aggregates).
    """

    what: str
    key: str
    rows: str
    equal: int = 0
    different: int = 0
    only_here: int = 0
    only_there: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether something was compared, and nothing differs."""
        return bool(self.equal) and not (self.different or self.only_here or self.only_there)

    def note(self, what: str, text: str, rows: int = 1) -> None:
        """Count a difference."""
        self.different += rows * (what == "differs")
        self.only_here += rows * (what == "only here")
        self.only_there += rows * (what == "only there")
        if len(self.examples) < _KEPT:
            self.examples.append(f"{what}: {text}")


def against_archive(lake: Path, file: ArchiveFile) -> Outcome:
    """Compare the lake with a file of trades, aggTrades or klines.

    Raises:
        FileError: The file or the lake cannot be read.

    """
    if file.kind is Kind.KLINES:
        return _archived_klines(lake, file)
    outcome = Outcome(file.path.name, file.key, "trades")
    for equal, differences in _matched(lake, file):
        outcome.equal += equal
        for one in differences:
            text = f"{one.first_id}..{one.last_id} {one.detail}".strip()
            outcome.note(one.what, text, one.rows)
    return outcome


def against_klines(
    outcome: Outcome,
    ours: Callable[[int], Iterable[Kline]],
    theirs: Iterable[tuple[int, Fields]],
    days: Iterable[int],
) -> Outcome:
    """Compare klines day by day.

    Args:
        outcome: Takes what is found.
        ours: Gives our klines of a UTC day by its start; the last revision of each counts.
        theirs: Starts of windows and their fields, in order of time.
        days: Starts of days to compare, in order; all others are left out.

    """
    waiting = iter(theirs)
    ahead = next(waiting, None)
    for day_us in days:
        mine = _latest(ours(day_us))
        while ahead is not None and ahead[0] < day_us + DAY_US:
            if ahead[0] >= day_us:
                _hold(outcome, mine.pop(ahead[0], None), *ahead)
            ahead = next(waiting, None)
        for open_us, kline in sorted(mine.items()):
            outcome.note("only here", f"{kline.interval} {time_text(open_us)}")
    return outcome


def stored_klines(lake: Path, key: str, of: Interval) -> Callable[[int], Iterable[Kline]]:
    """Return the function that reads a day's klines from a lake."""

    def read(day_us: int) -> Iterator[Kline]:
        return read_klines(lake, {key}, {of.name}, _at(day_us), _at(day_us + DAY_US))

    return read


def fields_of(kline: Kline) -> Fields:
    """Return what of a kline is compared."""
    return {name: kline.text(name) for name in MEASURES} | {"trades": str(kline.trades)}


def _hold(outcome: Outcome, mine: Kline | None, open_us: int, theirs: Fields) -> None:
    if mine is None:
        outcome.note("only there", time_text(open_us))
        return
    ours = fields_of(mine)
    said = [f"{name} {ours[name]}!={theirs[name]}" for name in theirs if ours[name] != theirs[name]]
    if said:
        outcome.note("differs", f"{mine.interval} {time_text(open_us)} {', '.join(said)}")
    else:
        outcome.equal += 1


def _latest(klines: Iterable[Kline]) -> dict[int, Kline]:
    found: dict[int, Kline] = {}
    for kline in klines:
        known = found.get(kline.open_us)
        if known is None or kline.revision >= known.revision:
            found[kline.open_us] = kline
    return found


def _archived_klines(lake: Path, file: ArchiveFile) -> Outcome:
    reader = KlinesReader(file)
    klines = [item for item in reader.items() if isinstance(item, Kline)]
    of = klines[0].interval if klines else file.interval or interval("1m")
    outcome = Outcome(file.path.name, file.key, f"klines {of}")
    if not klines:
        return outcome
    first, last = klines[0].open_us, klines[-1].open_us
    start, end = file.period or (first, last + 1)
    read = stored_klines(lake, file.key, of)

    def ours(day_us: int) -> Iterator[Kline]:
        return (kline for kline in read(day_us) if start <= kline.open_us < end)

    days = range(start - start % DAY_US, end, DAY_US)
    return against_klines(outcome, ours, ((k.open_us, _said(k)) for k in klines), days)


def _said(kline: Kline) -> Fields:
    # Files of open, high, low, close and volume say nothing of the rest, which then is 0.
    fields = fields_of(kline)
    if kline.volume_units and not kline.trades and not kline.quote_volume_units:
        return {name: text for name, text in fields.items() if name not in _OF_OTHERS}
    return fields


def _matched(lake: Path, file: ArchiveFile) -> Iterator[tuple[int, list[Difference]]]:
    start, end = (None, None) if file.period is None else map(_at, file.period)
    ours = Tape(trades for _, trades in read_trades(lake, {file.key}, start, end))
    theirs = Tape(_in_order(file))
    if file.period is None and theirs.rows is not None:
        # It says nothing of what lies before its first row, nor behind its last one.
        ours.skip(int(theirs.rows.first_ids[0]))
    while theirs.rows is not None or (ours.rows is not None and file.period is not None):
        mine, others = _step(ours, theirs)
        yield compare(mine, others)


def _in_order(file: ArchiveFile) -> Iterator[Trades]:
    check = Continuity(file.key, contiguous=False)  # an archive may repeat a row
    for item in TradesReader(file).items():
        if isinstance(item, Trades):
            yield from (part for part in check.on_trades(item) if isinstance(part, Trades))


class Tape:
    """Rows of one side that are not yet compared; `rows` is None at its end."""

    def __init__(self, batches: Iterable[Trades]) -> None:
        self._batches = iter(batches)
        self.rows: Trades | None = None
        self.more()

    def more(self) -> bool:
        """Read a batch more; return whether there was one."""
        for batch in self._batches:
            rows = trade_ids(batch)
            if len(rows):
                self.rows = rows if self.rows is None else concat([self.rows, rows])
                return True
        return False

    def skip(self, first_id: int) -> None:
        """Drop rows that end before a trade id."""
        while self.rows is not None and int(self.rows.last_ids[-1]) < first_id:
            self.rows = None
            self.more()
        if self.rows is not None:
            self.take(first_id)

    def take(self, cut: int) -> Trades:
        """Return, and forget, the rows that begin before a trade id."""
        rows = self.rows
        if rows is None:
            raise LookupError("the tape is at its end")
        count = int(np.searchsorted(rows.first_ids, cut, "left"))
        self.rows = rows.take(slice(count, None)) if count < len(rows) else None
        if self.rows is None:
            self.more()
        return rows.take(slice(0, count))


def _step(ours: Tape, theirs: Tape) -> tuple[Trades, Trades]:
    # As far as both are read; a row that straddles the end of the other's waits for more of it.
    while True:
        a, b = ours.rows, theirs.rows
        if a is None or b is None:
            one = a if a is not None else b
            rest = (ours if a is not None else theirs).take(int(_known(one).last_ids[-1]) + 1)
            none = rest.take(slice(0, 0))
            return (rest, none) if a is not None else (none, rest)
        reach = min(int(a.last_ids[-1]), int(b.last_ids[-1])) + 1
        cut = safe_cut((a, b), reach)
        if cut > min(int(a.first_ids[0]), int(b.first_ids[0])):
            return ours.take(cut), theirs.take(cut)
        shorter = ours if int(a.last_ids[-1]) < int(b.last_ids[-1]) else theirs
        if not shorter.more():
            return ours.take(reach), theirs.take(reach)


def _known(rows: Trades | None) -> Trades:
    if rows is None:
        raise LookupError("both tapes are at their end")
    return rows


def _at(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us / 1e6, UTC)
