"""``cryptotools record``: raw inputs only, for later replays."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import ConfigFile, Set, overrides
from cli.output import ERR, Json, print_json
from dataflows import engine
from dataflows.record import recording
from dataflows.setup import prepare
from telemetry import metrics


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def record(
        out: Annotated[
            Path | None, typer.Option("--out", "-o", help="Folder; `recording.path` by default.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Record what the exchange sends, nothing else. Ctrl-C ends it cleanly."""
        settings = prepare(config, overrides(set_))
        path = out or settings.recording.path
        ERR.print(f"recording {' '.join(settings.symbols)} to {path}")
        engine.run(recording(settings, path))
        facts = {
            "path": str(path),
            "trades": metrics.total(metrics.RECEIVED),
            "duplicates": metrics.total(metrics.DUPLICATE),
        }
        if json:
            print_json(facts)
        else:
            ERR.print(f"stopped; {facts['trades']} trades are in {path}")
