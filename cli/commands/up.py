"""``cryptotools up``: the live job under supervision, with all that it needs on this machine."""

import sys
import threading
import time
import webbrowser
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import httpx
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
from cli.screen import screen
from config.settings import Settings
from core.market.errors import ConfigError, ServiceError
from dataflows.claim import holder_of, state_lock
from dataflows.setup import prepare
from supervisor.supervise import Supervisor

_ALONE = "--demo has settings of its own: leave --config and --set out"
_OPEN_S = 60.0


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
        port: Annotated[
            int, typer.Option("--port", "-p", min=-1, max=65_535, help="Of the API.")
        ] = -1,
        api: Annotated[bool, typer.Option(help="Serve the API and the dashboard.")] = True,
        notify: Annotated[
            bool, typer.Option(help="Send notifications, where channels are set.")
        ] = True,
        browser: Annotated[
            bool, typer.Option("--open", help="Open the dashboard in a browser.")
        ] = False,
        demo: Annotated[
            bool,
            typer.Option("--demo", "--simulate", help="Follow a simulated exchange, started here."),
        ] = False,
        directory: Annotated[
            Path, typer.Option("--dir", help="Folder of all files of --demo.")
        ] = Path("demo"),
        speed: Annotated[float, typer.Option(help="Market seconds per second of --demo.")] = SPEED,
    ) -> None:
        """Run live, supervised: Redis, flow, API, dashboard, notifications. Ctrl-C ends them.

        A flow that crashes or freezes goes on from its last snapshot. A mistake in the settings
        ends it at once, too many failures within five minutes end it with exit code 3.
        """
        with ExitStack() as stack:
            if demo:
                if config or set_ or recovery or no_recovery:
                    raise ConfigError("--demo", _ALONE)
                settings, hint = _simulated(stack, directory, speed, port)
            else:
                tree = recovery_overrides(overrides(set_), recovery, no_recovery=no_recovery)
                if port >= 0:
                    tree.setdefault("api", {})["port"] = port
                settings = prepare(config, tree)
                hint = f" -c {config}" if config else ""
            code = _supervised(
                settings,
                hint,
                workers,
                processes,
                fresh=fresh,
                api=api and settings.api.enabled,
                notify=notify and bool(settings.notify.channels),
                browser=browser,
            )
        if code:
            raise typer.Exit(code)
        ERR.print("stopped; everything is written")


def _supervised(
    settings: Settings,
    hint: str,
    workers: int,
    processes: int,
    *,
    fresh: bool,
    api: bool,
    notify: bool,
    browser: bool,
) -> int:
    address = _free_address(settings) if api and settings.api.port else ""
    beside = _beside(api=api, notify=notify)
    supervisor = Supervisor(
        settings, processes=processes, workers=workers, fresh=fresh, beside=beside
    )
    if browser and address:
        threading.Thread(target=_open, args=(address,), daemon=True).start()
    hints = _hints(settings, hint, address)
    if notify:
        hints.append(f"notifications: to {' '.join(settings.notify.channels)}")
    with screen(settings.state_dir, hints):
        return supervisor.run()


def _beside(*, api: bool, notify: bool) -> dict[str, list[str]]:
    command = [sys.executable, "-m", "cli.main"]
    found = {"API": [*command, "api", "--saved"]} if api else {}
    return found | ({"notifier": [*command, "notify", "run", "--saved"]} if notify else {})


def _free_address(settings: Settings) -> str:
    # Before anything starts: a port that is taken, or one that everybody could reach.
    from api.serve import probe  # only here: its libraries take a while

    return probe(settings)


def _open(address: str) -> None:
    until = time.monotonic() + _OPEN_S
    while time.monotonic() < until:
        try:
            if httpx.get(f"{address}/ready", timeout=1.0).is_success:
                webbrowser.open(address)
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)


def _simulated(stack: ExitStack, directory: Path, speed: float, port: int) -> tuple[Settings, str]:
    holder = holder_of(state_lock(directory / "state"))
    if holder:  # its folder is not to be made anew
        why = f"process {holder} runs a flow on it"
        raise ServiceError(f"folder {directory}", why, hint="stop that one, or name another --dir")
    prepare_folder(directory)
    found = stack.enter_context(exchange(speed))
    quiet = demo_settings(directory, found)
    log = quiet.log.model_copy(update={"level": "info"})
    api = quiet.api.model_copy(update={"port": port} if port >= 0 else {})
    settings = quiet.model_copy(update={"log": log, "api": api})
    file = directory / "cryptotools.toml"
    file.write_text(as_toml(settings.model_dump(mode="json")) + "\n")
    return settings, f" -c {file}"


def _hints(settings: Settings, hint: str, address: str) -> list[str]:
    place = settings.binance.ws or "(no endpoint)"
    lines = [
        f"following {' '.join(settings.symbols)} on {place}; lake in {settings.lake.path}",
        f"look with: cryptotools status{hint} --watch",
    ]
    return [f"dashboard: {address}", *lines] if address else lines
