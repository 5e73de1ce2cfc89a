"""The flow's own check of invariant 1: per symbol, ids leave in order, each once, holes named.

The live session already keeps it; files do not. Both pass here, so that what follows may rely on
it whatever the source was.
"""

from itertools import pairwise
from typing import TypeAlias

import numpy as np

from core.market.errors import SnapshotError
from core.market.events import Gap, Quarantined
from core.market.position import Positions
from core.market.trades import Trades

Out: TypeAlias = Trades | Gap | Quarantined

_VERSION = "continuity-1"
_HOLES_KEPT = 256


class Continuity:
    """Passes each id of one instrument once, in order, and says what is missing.

    `contiguous` is False where an exchange's ids have holes of their own (single trades of USD-M
    futures, whose insurance-fund fills take ids but are not published).
    """

    def __init__(self, key: str, *, contiguous: bool = True) -> None:
        self.key = key
        self.next_id: int | None = None
        self.accepted = 0
        self.duplicates = 0
        self.rejected = 0
        self._contiguous = contiguous
        self._holes: list[tuple[int, int]] = []  # the newest, to tell a late row from a repeated
        self._positions = Positions()
        self._time_us = 0

    def on_trades(self, trades: Trades) -> list[Out]:
        """Return the rows that are new, in id order, with a `Gap` where ids are missing."""
        n = len(trades)
        if not n:
            return []
        ids = trades.id
        first, last = int(ids[0]), int(ids[-1])
        # Nearly every batch: nothing to sort, drop or name.
        if (
            (self.next_id is None or first == self.next_id)
            and last - first == n - 1
            and (n < 3 or bool((ids[1:] - ids[:-1] == 1).all()))
        ):
            self._pass(trades, last)
            return [trades]
        return self._patiently(trades)

    def on_gap(self, gap: Gap) -> Gap:
        """Note a hole that the source itself named."""
        self._note(gap.first_id, gap.last_id)
        self.next_id = max(self.next_id or 0, gap.last_id + 1)
        return gap

    def snapshot(self) -> tuple[str | int | bool | tuple[tuple[int, int], ...] | None, ...]:
        """Return the state as plain values."""
        return (
            _VERSION, self.key, self._contiguous, self.next_id, self._time_us,
            self._positions.last, tuple(self._holes),
        )  # fmt: skip

    @classmethod
    def restore(cls, state: tuple[object, ...]) -> "Continuity":
        """Return what `snapshot` was taken of, or raise `SnapshotError`."""
        match state:
            case (str(v), str(key), bool(contiguous), int() | None as next_id, int(time_us),
                  int(position), tuple(holes)) if v == _VERSION:  # fmt: skip
                found = cls(key, contiguous=contiguous)
                found.next_id, found._time_us = next_id, time_us
                found._positions = Positions(position)
                found._holes = [(int(a), int(b)) for a, b in holes]
                return found
        raise SnapshotError("continuity", state[0] if state else None, _VERSION)

    def _pass(self, trades: Trades, last: int) -> None:
        self.next_id = last + 1
        self.accepted += len(trades)
        self._time_us = max(self._time_us, int(trades.time_us[-1]))

    def _patiently(self, trades: Trades) -> list[Out]:
        out: list[Out] = []
        if bool((trades.id[1:] < trades.id[:-1]).any()):
            trades = trades.take(np.argsort(trades.id, kind="stable"))
        fresh = np.ones(len(trades), np.bool_)
        fresh[1:] = trades.id[1:] != trades.id[:-1]
        late: list[int] = []
        if self.next_id is not None:
            old = trades.id < self.next_id
            late = [i for i in trades.id[old & fresh].tolist() if self._in_a_hole(i)]
            fresh &= ~old
        if late:
            out.append(self._refuse(late, int(trades.time_us[-1])))
        self.duplicates += len(fresh) - int(fresh.sum()) - len(late)
        trades = trades.take(fresh)
        return out + self._runs(trades) if len(trades) else out

    def _in_a_hole(self, trade_id: int) -> bool:
        return any(first <= trade_id <= last for first, last in self._holes)

    def _refuse(self, late: list[int], time_us: int) -> Quarantined:
        # A row that fills a hole already named comes too late to be put in order.
        self.rejected += len(late)
        reason = f"{len(late)} rows came after the gap that they belong to was named"
        payload = f"ids {late[0]}..{late[-1]}"
        at = self._positions.at(time_us)
        return Quarantined(self.key, time_us, at, reason, "continuity", payload)

    def _runs(self, trades: Trades) -> list[Out]:
        out: list[Out] = []
        ids = trades.id
        cuts = [0, *(np.flatnonzero(ids[1:] - ids[:-1] != 1) + 1).tolist(), len(trades)]
        if not self._contiguous:
            cuts = [0, len(trades)]
        for start, end in pairwise(cuts):
            first = int(ids[start])
            if self._contiguous and self.next_id is not None and first > self.next_id:
                out.append(self._gap(self.next_id, first - 1))
            run = trades.take(slice(start, end))
            self._pass(run, int(ids[end - 1]))
            out.append(run)
        return out

    def _gap(self, first: int, last: int) -> Gap:
        self._note(first, last)
        at = self._positions.at(self._time_us)
        reason = "the input skips these ids"
        return Gap(self.key, self._time_us, at, first, last, reason)

    def _note(self, first: int, last: int) -> None:
        self._holes.append((first, last))
        del self._holes[:-_HOLES_KEPT]
