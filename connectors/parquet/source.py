"""Bytewax shell over the reader: replays the trades of a lake, one partition per instrument."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.parquet.layout import Part
from connectors.parquet.reader import Position, Range, parts_since, read_parts, trade_parts
from connectors.shutdown import STOP
from core.market.errors import FileError
from core.market.events import Item
from core.market.trades import Trades
from telemetry import metrics
from telemetry.progress import PROGRESS

Clock: TypeAlias = Callable[[], datetime]

_STEP = timedelta(milliseconds=5)
"""Paced rows are handed out at most this often."""
_LOOK = timedelta(seconds=1)
"""A quiet market must not keep anybody from noticing the stop flag for longer than this."""


def _now() -> datetime:
    return datetime.now(UTC)


class LakePartition(StatefulSourcePartition[tuple[str, Item], tuple[str, int]]):
    """One instrument's trades; its snapshot is the day and the next id."""

    def __init__(
        self,
        key: str,
        parts: list[Part],
        span: Range,
        since: Position,
        *,
        speed: float | None = None,
        clock: Clock = _now,
    ) -> None:
        self._key = key
        self._at = since
        for part in parts_since(parts, since):
            PROGRESS.expect(part.path.stat().st_size)
        self._batches = read_parts(parts, span, since, PROGRESS.advance)
        self._held: tuple[Part, Trades] | None = None
        self._speed = speed
        self._clock = clock
        self._began: tuple[datetime, int] | None = None
        self._awake: datetime | None = None

    def next_batch(self) -> list[tuple[str, Item]]:
        """Return the next rows that are due, as one batch."""
        if STOP.is_set():
            raise StopIteration
        part, trades = self._held or next(self._batches)
        due = len(trades) if self._speed is None else self._due(trades, self._speed)
        self._held = (part, trades.take(slice(due, None))) if due < len(trades) else None
        if not due:
            return []
        batch = trades if due == len(trades) else trades.take(slice(0, due))
        self._at = Position(part.date, int(batch.id[-1]) + 1)
        metrics.RECEIVED.labels(self._key).inc(len(batch))
        return [(self._key, batch)]

    def next_awake(self) -> datetime | None:
        """Say when the next row is due, when replaying at a speed."""
        return self._awake

    def snapshot(self) -> tuple[str, int]:
        """Return the day and the id from which to go on."""
        return self._at.date, self._at.next_id

    def _due(self, trades: Trades, speed: float) -> int:
        now = self._clock()
        if self._began is None:
            self._began = now, int(trades.time_us[0])
        began, first_us = self._began
        reached = first_us + (now - began) / timedelta(microseconds=1) * speed
        due = int(np.searchsorted(trades.time_us, reached, "right"))
        self._awake = None
        if due < len(trades):
            wait = timedelta(microseconds=(int(trades.time_us[due]) - first_us) / speed)
            self._awake = min(max(began + wait, now + _STEP), now + _LOOK)
        return due


class LakeSource(FixedPartitionedSource[tuple[str, Item], tuple[str, int]]):
    """The trades of a lake, in id order per instrument.

    Args:
        path: The lake, any folder of it, or one file.
        symbols: Symbols (``BTCUSDT``) or keys (``binance:BTCUSDT``); None for all.
        start: First trade time, aware of its zone.
        end: End of trade time, exclusive.
        speed: 1.0 is the pace of the data, None as fast as can be.

    Raises:
        FileError: There are no such trades, or what is there is no lake.

    """

    def __init__(
        self,
        path: Path,
        *,
        symbols: Collection[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        speed: float | None = None,
    ) -> None:
        self._span = Range.of(start, end)
        self._parts = trade_parts(path, symbols, self._span)
        self._speed = speed
        if not self._parts:
            wanted = " of " + " ".join(sorted(symbols)) if symbols else ""
            raise FileError(path, f"holds no trades{wanted}")

    def list_parts(self) -> list[str]:
        """Return the instruments' keys."""
        return sorted(self._parts)

    def build_part(
        self, _step_id: str, for_part: str, resume_state: tuple[str, int] | None
    ) -> LakePartition:
        """Return one instrument's partition, going on where its snapshot stood."""
        since = Position(*resume_state) if resume_state else Position()
        return LakePartition(for_part, self._parts[for_part], self._span, since, speed=self._speed)
