"""Reads what is in no file yet: the logs of a running flow, or of one that died.

A reader needs no lock. It sees whole frames only; rows that a writer has not appended yet (at most
some thousands, or those since the last snapshot) are not there. Read the logs *before* you list
files: a row that moves meanwhile from a log into a file is then in both, which its id tells, not in
neither.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from connectors.arrowlog.files import LOGS
from connectors.arrowlog.frames import Batch
from connectors.arrowlog.log import frames, segments
from connectors.arrowlog.state import Name, State
from core.market.errors import FileError

_TRIES = 20
_PAUSE_S = 0.05


def root_of(path: Path) -> Path | None:
    """Return the folder, at or above `path`, that has logs; None if there is none."""
    top = path.resolve()
    return next((p for p in (top, *top.parents) if (p / LOGS).is_dir()), None)


def pending(
    root: Path, wanted: Callable[[Name], bool] = lambda _: True
) -> Iterator[tuple[Name, list[Batch]]]:
    """Yield, for every open file of every writer below `root`, its name and its rows so far.

    Rows of names that are not wanted are neither unpacked nor held.

    Raises:
        FileError: A log changes all the time so that it cannot be read.

    """
    for folder in sorted((root / LOGS).iterdir()):
        if folder.is_dir():
            yield from _state(folder, wanted).batches().items()


def _state(folder: Path, wanted: Callable[[Name], bool]) -> State:
    # A writer drops old segments: then what was listed is not what is there.
    for _ in range(_TRIES):
        state = State()
        try:
            for frame in frames(segments(folder)):
                state.tell(frame)
                state.forget(frame, wanted)
        except FileNotFoundError:
            time.sleep(_PAUSE_S)
            continue
        return state
    raise FileError(folder, "the log changes all the time")
