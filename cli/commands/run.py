"""``cryptotools run``: the live job."""

from datetime import timedelta

import typer

from cli.options import (
    ConfigFile,
    Fresh,
    NoRecovery,
    Recovery,
    Set,
    Workers,
    overrides,
    recovery_overrides,
)
from cli.output import ERR
from config.settings import Settings
from dataflows import engine
from dataflows.main import live
from dataflows.process import claimed, note, told
from dataflows.recovery import prepare_store
from dataflows.setup import prepare


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def run(
        config: ConfigFile = None,
        set_: Set = None,
        workers: Workers = 1,
        recovery: Recovery = None,
        *,
        no_recovery: NoRecovery = False,
        fresh: Fresh = False,
    ) -> None:
        """Run live: exchange, klines, strategies, Redis and lake. Ctrl-C ends it cleanly."""
        tree = recovery_overrides(overrides(set_), recovery, no_recovery=no_recovery)
        settings = prepare(config, tree)
        ERR.print(
            f"following {' '.join(settings.symbols)} on {settings.binance.ws or '(no endpoint)'}; "
            f"lake in {settings.lake.path}"
        )
        _run(settings, workers, fresh=fresh)
        ERR.print("stopped; everything is written")


def _run(settings: Settings, workers: int, *, fresh: bool) -> None:
    store = settings.recovery_store
    with claimed(settings):
        if store is not None:
            prepare_store(store, settings, fresh=fresh)
        with told(settings):
            flow = live(settings)
            if store is not None:
                note(store, settings, flow)
            every = timedelta(seconds=settings.recovery.snapshot_seconds)
            engine.run(flow, workers=workers, recovery=store, snapshot_every=every)
