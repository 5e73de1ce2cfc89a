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
from simulator.faults import fault_text, parse_fault
from simulator.faults.catalogue import table as fault_table
from simulator.scenarios import scenario, scenarios
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
        ConfigError: An unknown scenario, a file that cannot be one, a fault that cannot be read,
            a value out of range.

    """
    chosen = scenario(name).settings
    tree: dict[str, Any] = chosen.model_dump()
    tree["faults"] = [*chosen.faults, *(parse_fault(f) for f in faults or [])]
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
            f"--set symbols={','.join(symbols)}{_market(settings)}"
        )

    await serve(settings, host=host, port=port, started=started, stop=stop)


def _list_scenarios(*, json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "name": s.name,
            "about": s.about,
            "speed": s.settings.speed,
            "faults": [fault_text(fault) for fault in s.settings.faults],
        }
        for s in scenarios().values()
    ]
    if json:
        print_json(rows)
        return
    shown: list[tuple[object, ...]] = [
        (r["name"], f"{r['speed']:g}", escape(r["about"]), escape("\n".join(r["faults"])))
        for r in rows
    ]
    OUT.print(table("scenario", "speed", "about", "faults", rows=shown, right=(1,)))


def _list_faults(*, json: bool) -> None:
    rows = fault_table()
    if json:
        print_json(rows)
        return
    for row in rows:
        OUT.print(f"[bold]{row['name']}[/] {escape(row['about'])}")
        OUT.print(escape(f"    {' '.join(option['text'] for option in row['options'])}"))


def _market(settings: SimulatorSettings) -> str:
    product = settings.market.product
    return "" if product == "spot" else f" --set binance.market={product}"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def simulate(
        name: Annotated[
            str, typer.Option("--scenario", "-s", help="A name (see --list), or a TOML file.")
        ] = "calm",
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
            list[str] | None,
            typer.Option(help="What goes wrong (see --faults), such as drop@after=5s."),
        ] = None,
        trades: Annotated[
            list[Path] | None, typer.Option(help="Recorded trades to serve: csv, zip or a lake.")
        ] = None,
        list_: Annotated[bool, typer.Option("--list", help="Print the scenarios.")] = False,
        faults: Annotated[
            bool, typer.Option("--faults", help="Print what can go wrong, and its options.")
        ] = False,
        *,
        json: Json = False,
    ) -> None:
        """Serve a local exchange that speaks Binance's protocol. Ctrl-C ends it."""
        if list_ or faults:
            (_list_scenarios if list_ else _list_faults)(json=json)
            return
        log.configure("info")
        settings = settings_of(
            name, speed=speed, seed=seed, start=start, faults=fault, trades=trades
        )
        asyncio.run(_serve(settings, host, port, json=json))
        ERR.print("stopped")
