"""Which ids are held: ranges instead of rows, so a hundred million trades are a few of them."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from core.market.trades import Trades


class Span(NamedTuple):
    """Ids ``first_id..last_id`` (inclusive) and the times of the first and the last of them."""

    first_id: int
    last_id: int
    first_us: int
    last_us: int

    @property
    def ids(self) -> int:
        """How many ids that is."""
        return self.last_id - self.first_id + 1


class Twice(NamedTuple):
    """Ids that are held twice, and the numbers of the two files."""

    first_id: int
    last_id: int
    file: int
    other: int


@dataclass(frozen=True, slots=True)
class Held:
    """What `HeldIds` found, in the order of ids.

    Attributes:
        spans: The ids held, in ranges without a hole.
        holes: The ids between them; the times are those of the trades on either side.
        twice: Ids that are in two files.

    """

    spans: tuple[Span, ...]
    holes: tuple[Span, ...]
    twice: tuple[Twice, ...]


class HeldIds:
    """Takes the ids of one instrument's rows, file by file.

    `contiguous` is False where ids have holes of their own, which then say nothing.
    """

    def __init__(self, *, contiguous: bool = True) -> None:
        self.rows = self.repaired_rows = 0
        self._contiguous = contiguous
        self._runs: list[tuple[Span, int]] = []
        self._repaired: list[Span] = []

    @property
    def repaired(self) -> tuple[Span, ...]:
        """The ids that came by REST, in ranges."""
        return tuple(_joined(sorted(self._repaired)))

    def add(self, trades: Trades, file: int) -> None:
        """Take rows of a file, whose ids rise; files are known by their number."""
        if not len(trades):
            return
        self.rows += len(trades)
        for span in self._spans(trades):
            self._append(span, file)
            if trades.repaired:
                self.repaired_rows += span.ids
                self._repaired.append(span)

    def held(self) -> Held:
        """Return what is held and what is missing between."""
        runs = sorted(self._runs)
        twice: list[Twice] = []
        reach, by = -1, -1
        for span, file in runs:
            if span.first_id <= reach:
                twice.append(Twice(span.first_id, min(span.last_id, reach), file, by))
            if span.last_id > reach:
                reach, by = span.last_id, file
        spans = _joined([span for span, _ in runs], contiguous=self._contiguous)
        holes = [
            Span(a.last_id + 1, b.first_id - 1, a.last_us, b.first_us) for a, b in pairwise(spans)
        ]
        return Held(tuple(spans), tuple(holes), tuple(twice))

    def _spans(self, trades: Trades) -> list[Span]:
        ids, times, n = trades.id, trades.time_us, len(trades)
        cuts = [0, n]
        if self._contiguous and int(ids[-1]) - int(ids[0]) != n - 1:
            cuts = [0, *(np.flatnonzero(ids[1:] - ids[:-1] != 1) + 1).tolist(), n]
        return [
            Span(int(ids[a]), int(ids[b - 1]), int(times[a]), int(times[b - 1]))
            for a, b in pairwise(cuts)
        ]

    def _append(self, span: Span, file: int) -> None:
        if self._runs:
            last, of = self._runs[-1]
            if of == file and _follows(last, span, contiguous=self._contiguous):
                self._runs[-1] = (_both(last, span), file)
                return
        self._runs.append((span, file))


def _follows(a: Span, b: Span, *, contiguous: bool = True) -> bool:
    return b.first_id == a.last_id + 1 if contiguous else b.first_id > a.last_id


def _both(a: Span, b: Span) -> Span:
    early, late = (a, b) if a.last_id <= b.last_id else (b, a)
    return Span(a.first_id, late.last_id, min(a.first_us, early.first_us), late.last_us)


def _joined(spans: list[Span], *, contiguous: bool = True) -> list[Span]:
    # Given in the order of their first ids; those that touch or overlap become one.
    out: list[Span] = []
    for span in spans:
        touches = out and (not contiguous or span.first_id <= out[-1].last_id + 1)
        if touches:
            out[-1] = _both(out[-1], span)
        else:
            out.append(span)
    return out
