"""``cryptotools up``: the live job under supervision, with all that it needs on this machine."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.config import as_toml
from cli.commands.demo import SPEED, demo_settings, exchange, prepare_folder
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
from core.market.errors import ConfigError, ServiceError
from dataflows.claim import holder_of, state_lock
from dataflows.setup import prepare
from supervisor.supervise import Supervisor

_ALONE = "--simulate has settings of its own: leave --config and --set out"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def up(
        config: ConfigFile = None,
        set_: Set = None,
        workers: Workers = 1,
        processes: Annotated[
            int, typer.Option(min=1, help="Processes, as a cluster on this machine.")
        ] = 1,
        recovery: Recovery = None,
        *,
        no_recovery: NoRecovery = False,
        fresh: Fresh = False,
        simulate: Annotated[
            bool, typer.Option("--simulate", help="Follow a simulated exchange, started here.")
        ] = False,
        directory: Annotated[
            Path, typer.Option("--dir", help="Folder of all files of --simulate.")
        ] = Path("simulated"),
        speed: Annotated[
            float, typer.Option(help="Market seconds per second of --simulate.")
        ] = SPEED,
    ) -> None:
        """Run live, supervised: Redis and the flow are started, and started again. Ctrl-C ends it.

        A flow that crashes or freezes goes on from its last snapshot. A mistake in the settings
        ends it at once, too many failures within five minutes end it with exit code 3.
        """
        with ExitStack() as stack:
            if simulate:
                if config or set_ or recovery or no_recovery:
                    raise ConfigError("--simulate", _ALONE)
                settings, hint = _simulated(stack, directory, speed)
            else:
                tree = recovery_overrides(overrides(set_), recovery, no_recovery=no_recovery)
                settings = prepare(config, tree)
                hint = f" -c {config}" if config else ""
            _announce(settings, hint)
            supervisor = Supervisor(settings, processes=processes, workers=workers, fresh=fresh)
            code = supervisor.run()
        if code:
            raise typer.Exit(code)
        ERR.print("stopped; everything is written")


def _simulated(stack: ExitStack, directory: Path, speed: float) -> tuple[Settings, str]:
    holder = holder_of(state_lock(directory / "state"))
    if holder:  # its folder is not to be made anew
        why = f"process {holder} runs a flow on it"
        raise ServiceError(f"folder {directory}", why, hint="stop that one, or name another --dir")
    prepare_folder(directory)
    found = stack.enter_context(exchange(speed))
    quiet = demo_settings(directory, found)
    log = quiet.log.model_copy(update={"level": "info"})
    settings = quiet.model_copy(update={"log": log})
    file = directory / "cryptotools.toml"
    file.write_text(as_toml(settings.model_dump(mode="json")) + "\n")
    return settings, f" -c {file}"


def _announce(settings: Settings, hint: str) -> None:
    ERR.print(
        f"following {' '.join(settings.symbols)} on {settings.binance.ws or '(no endpoint)'}; "
        f"lake in {settings.lake.path}\n"
        f"look with: cryptotools status{hint} --watch"
    )
