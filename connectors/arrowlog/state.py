"""What the frames of a log amount to: which rows of which open files are in no file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from connectors.arrowlog.frames import Batch, Frame

Name: TypeAlias = tuple[str | int, ...]
"""An open file, in the writer's own terms."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A file about to be made.

    Attributes:
        name: Whose rows.
        path: The file, relative to the writer's folder.
        rows: How many it has.
        undo: Whether it is all this name's own: then it may be cut back.

    """

    name: Name
    path: str
    rows: int
    undo: bool


@dataclass(slots=True)
class Held:
    """Rows of a name that are in no file: where in the log they begin, how many, their bytes."""

    since: int
    rows: int = 0
    size: float = 0.0
    runs: list[tuple[Frame, int, int]] = field(default_factory=list)


class State:
    """What frames, told one after the other, amount to."""

    def __init__(self) -> None:
        self.held: dict[Name, Held] = {}
        self.made: dict[Name, str] = {}

    def tell(self, frame: Frame) -> None:
        """Take a frame."""
        about = frame.about
        if "closed" in about:
            self.close(tuple(about["closed"]))
        if "closing" in about:
            self.make(closing_of(frame))
        again, at = "again" in about, 0
        for *name, rows in about.get("again" if again else "rows", ()):
            held = self.add(tuple(name), rows, frame.start, len(frame.data) * rows, again=again)
            held.runs.append((frame, at, rows))
            at += rows

    def forget(self, frame: Frame, wanted: Callable[[Name], bool]) -> None:
        """Drop what a frame, which was told last, holds of names that nobody wants."""
        for *name, _ in frame.about.get("again" if "again" in frame.about else "rows", ()):
            if not wanted(tuple(name)):
                self.held[tuple(name)].runs.clear()

    def add(self, name: Name, rows: int, start: int, size: float, *, again: bool) -> Held:
        """Count rows of a name."""
        held = None if again else self.held.get(name)
        if held is None:
            held = self.held[name] = Held(start)
        held.rows += rows
        held.size += size
        return held

    def make(self, closing: Closing) -> None:
        """Note that a name has a file of its own though its rows are pending."""
        self.made.pop(closing.name, None)
        if closing.undo:
            self.made[closing.name] = closing.path

    def close(self, name: Name) -> None:
        """Forget a name's rows: they are in a file."""
        self.held.pop(name, None)
        self.made.pop(name, None)

    def batches(self, only: Name | None = None) -> dict[Name, list[Batch]]:
        """Return the pending rows by name, in order, of all names or of one."""
        read: dict[int, Batch] = {}
        found: dict[Name, list[Batch]] = {}
        for name, held in self.held.items():
            if only not in {None, name}:
                continue
            for frame, at, rows in held.runs:
                if frame.start not in read:
                    read[frame.start] = frame.batch()
                found.setdefault(name, []).append(read[frame.start].slice(at, rows))
            held.runs.clear()
        return found


def closing_of(frame: Frame) -> Closing:
    """Return what a frame of that kind says."""
    about = frame.about
    return Closing(tuple(about["closing"]), about["path"], about["count"], about["undo"])
