"""What is in no file yet, kept in a log: rows of many open files, mixed, in the order they came.

A frame says one of four things, each of a *name* (the open file; a tuple of texts and numbers):

    rows      these rows came; runs of several names, one batch
    again     the same, but instead of what is known of these names: they were brought forward
    closing   the name's rows are about to become this file
    closed    they have become it: the name has none any more

One log takes all open files of a writer, because a deployment has thousands of them (symbols times
intervals) and a snapshot may cost one fsync, not thousands. The price: a name that waits for long
keeps the log from being cut at its old end. `stale` tells which are to be brought forward.

**The rule.** What is in no file is in the log up to the last append. Then

* a run that goes on from a snapshot has the rows up to its position; what came behind is cut off,
  and a file that was made since is cut back to the rows up to there: the source brings the rest;
* a run that begins afresh makes files of what a dead one left, and then begins a new log;
* a log is dropped, segment by segment, when none of the last three snapshots needs it. The engine
  goes on from the last one or the one before.

Whose log it is says `run`, a name that a fresh start makes up and every snapshot carries.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypedDict

from connectors.arrowlog.frames import Batch
from connectors.arrowlog.log import SEGMENT_BYTES, Log
from connectors.arrowlog.state import Closing, Name, State, closing_of
from core.market.errors import ServiceError

Undo: TypeAlias = "Callable[[Closing, list[Batch]], None]"
"""Cuts a file back to these rows; to none: removes it."""

_SNAPSHOTS = 3
_FORWARD_BYTES = 1 << 20


class Mark(TypedDict):
    """A place in a log, as plain values: whose log, its position, how many rows are pending."""

    run: str
    position: int
    rows: int


class Journal:
    """The log of one writer; whoever opens it holds its lock until `close`.

    Args:
        folder: Where it is; made when missing.
        service: Who writes, for errors: ``lake``, ``recording``.
        segment_bytes: Bytes after which the log goes on in a new file.

    Raises:
        ServiceError: Somebody else writes it, or the folder cannot be used; later: the disk is
            full.

    """

    def __init__(self, folder: Path, *, service: str, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._service = service
        self._segment_bytes = segment_bytes
        self._log = Log(folder, service=service, segment_bytes=segment_bytes)
        self._state = State()
        self._floors: deque[int] = deque(maxlen=_SNAPSHOTS)

    @property
    def run(self) -> str:
        """Whose log it is; empty where there is none yet."""
        return self._log.run

    def rows(self, runs: Sequence[tuple[Name, int]], batch: Batch, *, again: bool = False) -> None:
        """Append rows: so many of the first name, then of the second and so on.

        Args:
            runs: Names and how many rows they have.
            batch: The rows.
            again: These are all pending rows of those names that were appended before.

        """
        about = {"again" if again else "rows": [[*name, rows] for name, rows in runs]}
        start = self._log.append(about, batch)
        size = (self._log.position - start) / max(1, batch.num_rows)
        for name, rows in runs:
            self._state.add(name, rows, start, size * rows, again=again)

    def closing(self, closing: Closing) -> None:
        """Say, so that it lasts, that a file is about to be made."""
        about = {
            "closing": closing.name, "path": closing.path, "count": closing.rows,
            "undo": closing.undo,
        }  # fmt: skip
        self._log.append(about)
        self._log.sync()
        self._state.make(closing)

    def made(self, name: Name) -> str | None:
        """Return the file that a name already has, relative to the writer's folder.

        It has one if the run that made it was taken back to before that.
        """
        return self._state.made.get(name)

    def closed(self, name: Name) -> None:
        """Say that a name's rows are in a file."""
        self._log.append({"closed": name})
        self._state.close(name)

    def mark(self) -> Mark:
        """Make everything last; return where to go on."""
        self._log.sync()
        held = self._state.held.values()
        self._floors.append(min((h.since for h in held), default=self._log.position))
        self._log.drop_before(min(self._floors))
        rows = sum(h.rows for h in held)
        return Mark(run=self._log.run, position=self._log.position, rows=rows)

    def stale(self) -> list[Name]:
        """Return the names whose rows to append again, so that the old end can be dropped."""
        length = self._log.position - self._log.start
        if length <= 4 * self._segment_bytes:
            return []
        held = self._state.held
        if length <= 4 * self._segment_bytes + 2 * sum(h.size for h in held.values()):
            return []
        found: list[Name] = []
        edge, left = self._log.start + self._segment_bytes, float(_FORWARD_BYTES)
        for name in sorted((n for n, h in held.items() if h.since < edge), key=self._size):
            if found and left < held[name].size:
                break
            left -= held[name].size
            found.append(name)
        return found

    def resume(self, mark: Mark, undo: Undo) -> dict[Name, list[Batch]]:
        """Go back to a mark: cut off what came behind it, return the rows pending there.

        Raises:
            ServiceError: The log is not here, or does not reach that far, or no longer.

        """
        if self._log.run != mark["run"] and (self._log.run or mark["position"]):
            raise self._lost("is not here")
        return self._go_back(mark, undo)

    def rewind(self, undo: Undo) -> None:
        """Go back to before the first row."""
        self._go_back(Mark(run=self._log.run, position=self._log.start, rows=0), undo)

    def read(self, name: Name) -> list[Batch]:
        """Return the rows of a name that were appended."""
        state = State()
        for frame in self._log.frames(self._state.held[name].since):
            state.tell(frame)
        return state.batches(name)[name]

    def left(self) -> dict[Name, list[Batch]]:
        """Return the rows that a dead run left."""
        self._state = State()
        for frame in self._log.frames():
            self._state.tell(frame)
        return self._state.batches()

    def begin(self, run: str) -> None:
        """Forget everything and begin the log of a run."""
        self._log.clear(run)
        self._state = State()
        self._floors.clear()

    def close(self, *, keep: bool = True) -> None:
        """Let go of the log; without `keep` remove it, for nobody will go on from it."""
        if not keep:
            self._log.clear("")
        self._log.close()

    def _size(self, name: Name) -> float:
        return self._state.held[name].size

    def _go_back(self, mark: Mark, undo: Undo) -> dict[Name, list[Batch]]:
        state, closings, reached = State(), list[Closing](), self._log.start
        for frame in self._log.frames():
            if frame.end <= mark["position"]:
                state.tell(frame)
                reached = frame.end
            elif "closing" in frame.about:
                closings.append(closing_of(frame))
        if reached != mark["position"] or sum(h.rows for h in state.held.values()) != mark["rows"]:
            raise self._lost("does not hold what the snapshot says")
        found = state.batches()
        kept = _undo(closings, found, undo)
        self._log.run = mark["run"]
        self._log.cut(mark["position"])
        self._state = state
        self._floors.clear()
        self._floors.append(min((h.since for h in state.held.values()), default=reached))
        for closing in kept:
            self.closing(closing)
        return found

    def _lost(self, why: str) -> ServiceError:
        return ServiceError(
            self._service,
            f"the log in {self._log.folder} {why}",
            hint="go back to the folder that the flow wrote to, or start without its snapshots "
            "(another recovery folder): what the log holds then becomes files",
        )


def _undo(closings: Iterable[Closing], held: dict[Name, list[Batch]], undo: Undo) -> list[Closing]:
    # A name may be used again. Its first file since then took the rows that were pending, and is
    # still its own when it has been cut back to them.
    names, paths, kept = set(), set(), []
    for closing in closings:
        batches = held.get(closing.name, []) if closing.name not in names else []
        if closing.undo and closing.path not in paths:
            undo(closing, batches)
            rows = sum(batch.num_rows for batch in batches)
            kept += [replace(closing, rows=rows)] if rows else []
        names.add(closing.name)
        paths.add(closing.path)
    return kept
