"""``cryptotools run``: the live job."""

import typer

from cli.options import ConfigFile, Recovery, Set, Workers, overrides
from cli.output import ERR
from dataflows import engine
from dataflows.main import live
from dataflows.setup import prepare


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def run(
        config: ConfigFile = None,
        set_: Set = None,
        workers: Workers = 1,
        recovery: Recovery = None,
    ) -> None:
        """Run live: exchange, klines, strategies, Redis and lake. Ctrl-C ends it cleanly."""
        settings = prepare(config, overrides(set_))
        ERR.print(
            f"following {' '.join(settings.symbols)} on {settings.binance.ws or '(no endpoint)'}; "
            f"lake in {settings.lake.path}"
        )
        engine.run(live(settings), workers=workers, recovery=recovery)
        ERR.print("stopped; everything is written")
