"""``cryptotools strategy …``: what strategies there are, and which instances a flow runs."""

import time
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape

from cli.commands.strategy_files import register_files
from cli.options import ConfigFile, Set, overrides, params
from cli.output import ERR, OUT, Json, print_json, table
from config.settings import Settings
from connectors.redis.control import Sender
from connectors.redis.keys import stream_key
from connectors.redis.reader import Reader
from core.control import InstanceCommand
from core.market.errors import ServiceError, StrategyError
from core.market.symbols import Instrument
from dataflows.account import Row
from dataflows.addresses import address
from dataflows.setup import prepare
from dataflows.status import read_instances, read_status
from strategies.registry import REGISTRY
from strategies.spec import InstanceSpec, basket_key

_SECONDS = 30.0

_STATES = {
    "pause": "Let an instance watch and say nothing.",
    "resume": "Let a paused instance speak again.",
    "remove": "End an instance; what it said stays.",
}

Instance = Annotated[str, typer.Argument(help="Name of the instance.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the outcome.")]
Param = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter.")
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True, help="Show strategies; add, change and remove running instances."
    )
    app.add_typer(group, name="strategy")
    register_files(group)
    _register_views(group)
    _register_changes(group)
    _register_states(group)


def _register_views(group: typer.Typer) -> None:
    @group.command(name="list")
    def list_(config: ConfigFile = None, set_: Set = None, *, json: Json = False) -> None:
        """List the strategies that there are, and the instances that the flow runs."""
        settings = prepare(config, overrides(set_))
        catalogue, rows = REGISTRY.catalogue(), read_instances(settings.state_dir)
        if json:
            print_json({"strategies": catalogue, "instances": rows})
            return
        known: list[tuple[object, ...]] = [
            (s["name"], escape(s["about"]), escape(s["origin"])) for s in catalogue
        ]
        OUT.print(table("strategy", "about", "from", rows=known))
        OUT.print(_instances(rows) if rows else "no instance runs here")

    @group.command()
    def show(
        name: Annotated[str, typer.Argument(help="Name of a strategy or of an instance.")],
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Show a strategy's parameters, or how an instance is on each symbol."""
        settings = prepare(config, overrides(set_))
        rows = [r for r in read_instances(settings.state_dir) if r["instance"] == name]
        found = next((s for s in REGISTRY.catalogue() if s["name"] == name), None)
        if found is None and not rows:
            REGISTRY.find(name)  # says what there is
        if json:
            print_json({"strategy": found, "instances": rows})
            return
        if found is not None:
            _show_strategy(found)
        if rows:
            OUT.print(_instances(rows))


def _register_changes(group: typer.Typer) -> None:
    @group.command()
    def add(
        strategy: Annotated[str, typer.Argument(help="Name of the strategy.")],
        name: Annotated[
            str, typer.Option("--name", "-n", help="Of the instance; the strategy's by default.")
        ] = "",
        interval: Annotated[str, typer.Option("--interval", "-i", help="Of its klines.")] = "1m",
        symbol: Annotated[
            list[str] | None, typer.Option("--symbol", "-s", help="Only on these; * is each.")
        ] = None,
        leg: Annotated[
            list[str] | None, typer.Option(metavar="LEG=SYMBOL", help="A further symbol it sees.")
        ] = None,
        param: Param = None,
        wait: Wait = _SECONDS,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Run an instance from now on, warmed up as if it had run from the start."""
        legs = {one: str(value).upper() for one, value in params(leg).items()}
        spec = {"name": strategy, "interval": interval, "symbols": symbol or ["*"],
                "params": params(param), "legs": legs}  # fmt: skip
        _command(_settings(config, set_), "add", name or strategy, wait, json=json, spec=spec)

    @group.command()
    def update(
        instance: Instance,
        param: Param = None,
        wait: Wait = _SECONDS,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Give a running instance other parameters, and its file as it is now.

        Parameters that are not named stay.
        """
        changed = params(param)
        _command(_settings(config, set_), "update", instance, wait, json=json, params=changed)


def _register_states(group: typer.Typer) -> None:
    for action, about in _STATES.items():
        group.command(name=action, help=about)(_to_state(action))


def _to_state(action: str) -> Callable[..., None]:
    def change(
        instance: Instance,
        wait: Wait = _SECONDS,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        _command(_settings(config, set_), action, instance, wait, json=json)

    return change


def _settings(config: Any, set_: list[str] | None) -> Settings:  # noqa: ANN401 - an option
    return prepare(config, overrides(set_))


def _command(
    settings: Settings, action: Any, instance: str, wait: float, *, json: bool, **more: Any  # noqa: ANN401 - checked by the model
) -> None:  # fmt: skip
    command = InstanceCommand(id=uuid.uuid4().hex, action=action, instance=instance, **more)
    if action == "add":
        REGISTRY.find(command.spec["name"])  # a misspelt one is found before anything is sent
    url = address(settings)
    keys = set(read_status(settings.state_dir).symbols)
    keys |= {row["key"] for row in read_instances(settings.state_dir)} | _basket(command, keys)
    reader, sender = Reader(url), Sender(url)
    since = {stream_key(key, "event"): reader.last_id(stream_key(key, "event")) for key in keys}
    shards = [f"shard-{n}" for n in range(settings.binance.shards)]
    until = time.monotonic() + wait
    outcomes = sender.send(command, shards, wait)
    refused = [o.reason for o in outcomes if o.state == "refused"]
    if refused:
        raise StrategyError(instance, refused[0].partition(": ")[2] or refused[0])
    if len(outcomes) < len(shards):
        raise ServiceError(
            "flow",
            f"{len(outcomes)} of {len(shards)} shards have answered within {wait:g} s",
            hint="is it running (`cryptotools status`)? The command waits for it",
        )
    exact = _basket(command, keys) or _named(command, set(read_status(settings.state_dir).symbols))
    wanted = exact if action == "add" else _running(settings, instance, exact)
    _show_changes(_changes(reader, since, command.id, wanted, until), json=json)


def _named(command: InstanceCommand, keys: set[str]) -> set[str]:
    named = {symbol.upper() for symbol in command.spec.get("symbols", ["*"])}
    return {key for key in keys if "*" in named or Instrument.from_key(key).symbol in named}


def _basket(command: InstanceCommand, keys: set[str]) -> set[str]:
    # The key under which an instance with legs speaks.
    if not command.spec.get("legs") or not keys:
        return set()
    try:
        spec = InstanceSpec.model_validate({**command.spec, "instance": command.instance})
    except ValidationError:
        return set()  # the flow says what is wrong with it
    return {basket_key(min(keys), spec)}


def _running(settings: Settings, instance: str, otherwise: set[str]) -> set[str]:
    rows = read_instances(settings.state_dir)
    return {row["key"] for row in rows if row["instance"] == instance} or otherwise


def _changes(
    reader: Reader, since: dict[str, str], command: str, wanted: set[str], until: float
) -> list[Row]:
    found: list[Row] = []
    for entries in reader.follow(since):
        for entry in entries:
            if entry.fields.get("command") == command:
                found.append({"key": entry.stream.key, **entry.fields})
                wanted.discard(entry.stream.key)
        if not wanted or time.monotonic() > until:
            break
    return found


def _show_changes(rows: list[Row], *, json: bool) -> None:
    if json:
        print_json(rows)
        return
    shown: list[tuple[object, ...]] = [
        (escape(row["key"]), row["state"], escape(row["detail"])) for row in rows
    ]
    if shown:
        OUT.print(table("symbol", "state", "", rows=shown))
    else:
        ERR.print("passed on; no symbol has reached it yet")
    if any(row["state"] == "refused" for row in rows):
        raise typer.Exit(2)


def _instances(rows: list[Row]) -> Any:  # noqa: ANN401 - something rich can print
    shown: list[tuple[object, ...]] = [
        (escape(r["instance"]), escape(r["key"]), r["interval"], r["state"], r["fed"],
         r["signals"], r["last_side"] or "-", f"{r['decision_us']:.1f} µs", escape(r["error"]))
        for r in rows
    ]  # fmt: skip
    names = ("instance", "symbol", "interval", "state", "klines", "signals", "last", "per kline")
    return table(*names, "", rows=shown, right=(4, 5, 7))


def _show_strategy(found: dict[str, Any]) -> None:
    OUT.print(f"[bold]{found['name']}[/] version {found['version']}, {escape(found['origin'])}")
    OUT.print(escape(found["about"]))
    rows: list[tuple[object, ...]] = [
        (name, p.get("type", "-"), p.get("default", "-"), escape(p.get("description", "")))
        for name, p in found["parameters"].get("properties", {}).items()
    ]
    if rows:
        OUT.print(table("parameter", "type", "default", "", rows=rows))
