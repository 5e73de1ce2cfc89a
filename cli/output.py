"""How the command line speaks: data to stdout, everything else to stderr, JSON where asked."""

import sys
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table


def _console(*, stderr: bool = False) -> Console:
    found = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not found.is_terminal:
        found.width = 200  # in a pipe nothing is to be folded
    return found


OUT = _console()
ERR = _console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(value: object) -> None:
    """Print one JSON document in one line, even where colours are on."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    sys.stdout.flush()


def table(*columns: str, rows: list[tuple[object, ...]], right: tuple[int, ...] = ()) -> Table:
    """Return a plain table; columns named in `right` are flushed right."""
    grid = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for n, name in enumerate(columns):
        grid.add_column(name, justify="right" if n in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    return grid
