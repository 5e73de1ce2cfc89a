"""``cryptotools api``: the HTTP API and the dashboard."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import ConfigFile, Set, overrides
from cli.output import ERR
from dataflows.setup import prepare, prepare_saved


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def api(
        host: Annotated[
            str, typer.Option(help="Address to listen at; others than loopback need tokens.")
        ] = "",
        port: Annotated[
            int, typer.Option("--port", "-p", min=-1, max=65_535, help="0: any free one.")
        ] = -1,
        config: ConfigFile = None,
        set_: Set = None,
        saved: Annotated[Path | None, typer.Option(hidden=True)] = None,
    ) -> None:
        """Serve the HTTP API and the dashboard for flows that run already. Ctrl-C ends it."""
        from api.serve import serve  # only here: other commands need not wait for its libraries

        if saved is not None:  # of a supervisor: those settings, and nothing else
            serve(prepare_saved(saved), _announce)
            return
        tree = overrides(set_)
        own: dict[str, Any] = tree.setdefault("api", {})
        own |= {"host": host} if host else {}
        own |= {"port": port} if port >= 0 else {}
        settings = prepare(config, tree)
        serve(settings, _announce)
        ERR.print("stopped")


def _announce(address: str) -> None:
    ERR.print(f"the API answers at {address}")
