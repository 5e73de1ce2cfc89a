"""The one screen of `cryptotools up`: how everything is, below what is logged."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel

from cli.commands.status import shown
from cli.output import ERR
from dataflows.status import read_status

_EVERY_S = 0.5


@contextmanager
def screen(state_dir: Path, hints: Sequence[str]) -> Iterator[None]:
    """Show the status of a flow until the block ends; log lines pass above it.

    Where nobody looks (no terminal), only the hints are printed.
    """
    if not ERR.is_terminal:
        for hint in hints:
            ERR.print(hint, highlight=False)
        yield
        return
    done = threading.Event()
    with Live(_drawn(state_dir, hints), console=ERR, auto_refresh=False, transient=True) as live:

        def draw() -> None:
            while not done.wait(_EVERY_S):
                live.update(_drawn(state_dir, hints), refresh=True)

        thread = threading.Thread(target=draw, name="screen", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _drawn(state_dir: Path, hints: Sequence[str]) -> RenderableType:
    status = read_status(state_dir)
    body = "starting …" if status.state == "none" else shown(status)
    return Panel(Group(*hints, "", body), title="CryptoTools", title_align="left")
