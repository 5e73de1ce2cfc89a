"""``cryptotools api``: the HTTP API and the dashboard."""

from typing import Annotated, Any

import typer

from cli.options import ConfigFile, Set, overrides
from cli.output import ERR
from dataflows.setup import prepare


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
    ) -> None:
        """Serve the HTTP API and the dashboard for flows that run already. Ctrl-C ends it."""
        from api.serve import serve  # only here: other commands need not wait for its libraries

        tree = overrides(set_)
        own: dict[str, Any] = tree.setdefault("api", {})
        own |= {"host": host} if host else {}
        own |= {"port": port} if port >= 0 else {}
        settings = prepare(config, tree)
        serve(settings, lambda address: ERR.print(f"the API answers at {address}"))
        ERR.print("stopped")
