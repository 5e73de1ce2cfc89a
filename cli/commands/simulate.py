"""``cryptotools simulate``: a local exchange that speaks Binance's protocol."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape

from cli.output import ERR, OUT, Json, print_json, table
from core.market.errors import ConfigError
from simulator.config import SimulatorSettings
from simulator.faults import parse_fault
from simulator.scenarios import SCENARIOS, scenario
from simulator.server import HOST, Exchange, serve
from telemetry import log

PORT = 9443


def settings_of(
    name: str,
    *,
    speed: float | None = None,
    seed: int | None = None,
    start: str | None = None,
    faults: list[str] | None = None,
    trades: list[Path] | None = None,
) -> SimulatorSettings:
    """Return a scenario's settings with what was said on the command line.

    Raises:
        ConfigError: An unknown scenario, a fault that cannot be read, a value out of range.

    """
    tree: dict[str, Any] = scenario(name).settings.model_dump()
    tree["faults"] = [*scenario(name).settings.faults, *(parse_fault(f) for f in faults or [])]
    tree["market"] |= {k: v for k, v in {"seed": seed, "start": start}.items() if v is not None}
    if trades:
        tree["market"]["recorded"] = [{"path": path} for path in trades]
    if speed is not None:
        tree["speed"] = speed
    try:
        return SimulatorSettings.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(where, f"`{first['input']}`: {first['msg']}") from None


async def _serve(settings: SimulatorSettings, host: str, port: int, *, json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def started(exchange: Exchange) -> None:
        symbols = list(exchange.market.listings)
        if json:
            print_json({"ws": exchange.ws_url, "rest": exchange.rest_url, "symbols": symbols})
            return
        OUT.print(f"exchange on {exchange.ws_url} and {exchange.rest_url}")
        OUT.print(f"symbols {' '.join(symbols)}; {settings.speed:g} s of market time per second")
        OUT.print(
            "follow it with: cryptotools run "
            f"--set binance.ws_url={exchange.ws_url} --set binance.rest_url={exchange.rest_url} "
            f"--set symbols={','.join(symbols)}"
        )

    await serve(settings, host=host, port=port, started=started, stop=stop)


def _list(*, json: bool) -> None:
    if json:
        print_json({s.name: s.about for s in SCENARIOS.values()})
    else:
        rows: list[tuple[object, ...]] = [(s.name, escape(s.about)) for s in SCENARIOS.values()]
        OUT.print(table("scenario", "about", rows=rows))


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def simulate(
        name: Annotated[str, typer.Option("--scenario", "-s", help="Which market.")] = "calm",
        host: Annotated[str, typer.Option(help="Address to listen on.")] = HOST,
        port: Annotated[int, typer.Option("--port", "-p", help="Port; 0: any free one.")] = PORT,
        speed: Annotated[
            float | None, typer.Option(help="Market seconds per second; 60: an hour a minute.")
        ] = None,
        seed: Annotated[int | None, typer.Option(help="Another seed, another market.")] = None,
        start: Annotated[
            str | None, typer.Option(help="Exchange time at the start: ISO time, or now.")
        ] = None,
        fault: Annotated[
            list[str] | None, typer.Option(help="What goes wrong, such as drop@after=5s.")
        ] = None,
        trades: Annotated[
            list[Path] | None, typer.Option(help="Recorded trades to serve: csv, zip or a lake.")
        ] = None,
        list_: Annotated[bool, typer.Option("--list", help="Print the scenarios.")] = False,
        *,
        json: Json = False,
    ) -> None:
        """Serve a local exchange that speaks Binance's protocol. Ctrl-C ends it."""
        if list_:
            _list(json=json)
            return
        log.configure("info")
        settings = settings_of(
            name, speed=speed, seed=seed, start=start, faults=fault, trades=trades
        )
        asyncio.run(_serve(settings, host, port, json=json))
        ERR.print("stopped")
