"""A progress bar on stderr for bounded inputs, drawn beside the engine."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.output import ERR
from telemetry.progress import PROGRESS

_EVERY_S = 0.1


@contextmanager
def bar(*, show: bool, label: str = "replay") -> Iterator[None]:
    """Draw how far the process's input has been read, with rows per second."""
    if not show or not ERR.is_terminal:
        yield
        return
    done = threading.Event()
    drawing = threading.Thread(target=_draw, args=(done, label), daemon=True)
    drawing.start()
    try:
        yield
    finally:
        done.set()
        drawing.join()


def _draw(done: threading.Event, label: str) -> None:
    began = time.monotonic()
    columns = (
        TextColumn(label),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[rows]} rows, {task.fields[rate]}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR, transient=True) as progress:
        task = progress.add_task(label, total=None, rows="0", rate="0")
        while not done.wait(_EVERY_S):
            rate = PROGRESS.rows / max(time.monotonic() - began, 1e-9)
            progress.update(
                task,
                total=max(PROGRESS.total_bytes, 1),
                completed=PROGRESS.done_bytes,
                rows=human(PROGRESS.rows),
                rate=human(rate),
            )


def human(number: float) -> str:
    """Return a count as people read it.

    >>> human(950), human(12_345), human(6_400_000)
    ('950', '12.3 k', '6.4 M')
    """
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"
