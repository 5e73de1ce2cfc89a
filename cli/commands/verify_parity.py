"""``cryptotools verify-parity``: whether a recording, replayed, gives what the live run gave."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.options import ConfigFile, Set, Workers, overrides
from cli.output import OUT, Json, print_json, table
from cli.progress import bar
from connectors.shutdown import stop_on_signals
from core.ledger.certificate import time_text
from dataflows.main import Work
from dataflows.ml_commands import ml_plan
from dataflows.setup import kline_plan, paper_of, prepare
from dataflows.verify_parity import Verdict, verify


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(name="verify-parity")
    def command(
        recording: Annotated[
            Path | None, typer.Argument(help="Folder; `recording.path` by default.")
        ] = None,
        lake: Annotated[
            Path | None, typer.Option("--lake", help="Folder; `lake.path` by default.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        workers: Workers = 1,
        *,
        newest: Annotated[bool, typer.Option("--newest", help="Only the newest run.")] = False,
        json: Json = False,
    ) -> None:
        """Replay a recording and compare what the flow says with the live run's hashes."""
        settings = prepare(config, overrides(set_))
        klines = kline_plan(settings, live=False)
        work = Work(klines, settings.strategies, paper_of(settings), ml_plan(settings))
        stop_on_signals()
        with bar(show=not json, label="verify-parity"):
            found = list(
                verify(
                    recording or settings.recording.path,
                    lake or settings.lake.path,
                    work,
                    workers=workers,
                    newest=newest,
                )
            )
        if json:
            print_json([asdict(verdict) for verdict in found])
        else:
            OUT.print(table("run", "symbol", "stream", "proven", "", rows=[_row(v) for v in found]))
        if not found or not all(verdict.equal for verdict in found):
            raise typer.Exit(1)


def _row(verdict: Verdict) -> tuple[object, ...]:
    mark = "[green]equal[/]" if verdict.equal else "[bold red]different[/]"
    counts = f"{verdict.records} of {verdict.of}" if verdict.stream else ""
    return (
        time_text(verdict.started_us)[:19],
        verdict.key,
        verdict.stream,
        f"{mark} {counts}",
        escape(verdict.detail),
    )
