"""Whether a flow still gets on, from its heartbeats: a frozen engine does not exit.

A process that is stopped writes no heartbeats. One whose engine hangs writes them, but its turns do
not rise. A flow that waits for Redis is neither: to start it again would not help.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(slots=True)
class _Seen:
    beats: int
    beat_at: float
    turns: int
    turn_at: float


class FrozenWatch:
    """Follows the heartbeats of one start of a flow.

    Args:
        processes: How many there are.
        frozen_s: Seconds without progress that are too many.
        start_s: The same before the first progress.
        now: When the flow was started.

    """

    def __init__(self, processes: int, *, frozen_s: float, start_s: float, now: float) -> None:
        self._processes = processes
        self._frozen_s, self._start_s = frozen_s, start_s
        self._began = now
        self._seen: dict[int, _Seen] = {}

    def look(self, rows: Mapping[int, Row], now: float) -> str:
        """Take the newest heartbeats by process; return what is wrong, empty if nothing is."""
        waits = any((row.get("redis") or {}).get("blocked") for row in rows.values())
        for process, row in rows.items():
            self._note(process, row, now, waits=waits)
        if not any(seen.turns for seen in self._seen.values()):
            late = now - self._began > self._start_s
            return f"the flow does not start within {self._start_s:g} s" if late else ""
        for process in range(self._processes):
            wrong = self._wrong(process, now)
            if wrong:
                return wrong
        return ""

    def _note(self, process: int, row: Row, now: float, *, waits: bool) -> None:
        beats, turns = int(row.get("beats", 0)), int(row.get("turns", 0))
        seen = self._seen.setdefault(process, _Seen(beats, now, turns, now))
        if beats != seen.beats:
            seen.beats, seen.beat_at = beats, now
        if turns != seen.turns or waits:
            seen.turns, seen.turn_at = turns, now

    def _wrong(self, process: int, now: float) -> str:
        seen = self._seen.get(process)
        if seen is None:
            late = now - self._began > self._start_s
            return f"process {process} gives no sign of life" if late else ""
        silent, idle = now - seen.beat_at, now - seen.turn_at
        if silent > self._frozen_s:
            return f"process {process} has given no sign of life for {silent:.0f} s"
        # One that was given no part of the work never has a turn.
        if seen.turns and idle > self._frozen_s:
            return f"process {process} has made no progress for {idle:.0f} s"
        return ""
