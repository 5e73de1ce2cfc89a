"""``cryptotools strategy …``: what strategies there are, and which instances a flow runs."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli.commands.strategy_files import register_files
from cli.options import ConfigFile, Set, overrides, params
from cli.output import ERR, OUT, Json, print_json, table
from cli.remote import client_of
from client.control import Instance as Running
from client.control import InstanceAnswer, NewInstance, OnSymbol
from config.settings import Settings
from core.market.errors import ServiceError
from dataflows.account import Row
from dataflows.setup import prepare
from strategies.registry import REGISTRY

_SECONDS = 30.0

_STATES = {
    "pause": "Let an instance watch and say nothing.",
    "resume": "Let a paused instance speak again.",
    "stop": "End an instance and keep it in mind.",
    "start": "Run one that was stopped, warmed up as if it had run all the time.",
    "remove": "End an instance; what it said stays.",
}

Instance = Annotated[str, typer.Argument(help="Name of the instance.")]
Wait = Annotated[
    float, typer.Option("--wait", min=0, max=60, help="Seconds to wait for the outcome.")
]
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
        settings = _settings(config, set_)
        catalogue, rows = REGISTRY.catalogue(), _running(settings)
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
        rows = [r for r in _running(settings) if r["instance"] == name]
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
        settings = _settings(config, set_)
        if not settings.api.url:
            REGISTRY.find(strategy)  # a misspelt one is found before anything is sent
        legs = {one: str(value).upper() for one, value in params(leg).items()}
        new = NewInstance(
            name=strategy, instance=name, interval=interval, symbols=tuple(symbol or ["*"]),
            params=params(param), legs=legs,
        )  # fmt: skip
        with client_of(settings, wait) as api:
            _show_changes(api.add(new), wait, json=json)

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
        with client_of(_settings(config, set_), wait) as api:
            _show_changes(api.update(instance, params(param)), wait, json=json)


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
        with client_of(_settings(config, set_), wait) as api:
            answer = api.remove(instance) if action == "remove" else api.put(instance, action)
            _show_changes(answer, wait, json=json)

    return change


def _settings(config: Any, set_: list[str] | None) -> Settings:  # noqa: ANN401 - an option
    return prepare(config, overrides(set_))


def _show_changes(answer: InstanceAnswer, wait: float, *, json: bool) -> None:
    rows = [result for result in answer.results if not result.subject.startswith("shard-")]
    if json:
        print_json([row.model_dump() for row in rows])
    elif rows:
        shown: list[tuple[object, ...]] = [
            (escape(row.subject), row.state, escape(row.reason)) for row in rows
        ]
        OUT.print(table("symbol", "state", "", rows=shown))
    elif answer.outcome != "accepted":
        ERR.print("passed on; no symbol has reached it yet")
    if answer.outcome == "accepted":
        raise ServiceError(
            "flow",
            f"not all have answered within {wait:g} s",
            hint="is it well (`cryptotools status`)? The command waits for it",
        )


def _running(settings: Settings) -> list[Row]:
    # Of a flow that does not run there are none.
    try:
        with client_of(settings) as api:
            found = api.instances()
    except ServiceError:
        return []
    return [row for one in found for row in _rows_of(one)]


def _rows_of(one: Running) -> list[Row]:
    own = {"instance": one.instance, "strategy": one.spec.name, "interval": one.spec.interval,
           "flow": one.flow, "version": one.version}  # fmt: skip
    if not one.symbols:  # stopped, or no data has come yet
        return [own | OnSymbol(key="-", state=one.state, params=one.spec.params).model_dump()]
    return [own | symbol.model_dump() for symbol in one.symbols]


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
