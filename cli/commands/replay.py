"""``cryptotools replay``: files through the same flow as live data."""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.options import ConfigFile, Set, Workers, overrides
from cli.output import ERR, Json, print_json
from cli.progress import bar
from cli.report import print_files, print_summary
from config.settings import Settings
from connectors.shutdown import stop_on_signals
from dataflows import engine
from dataflows.addresses import NO_REDIS
from dataflows.main import Work, build
from dataflows.ml_commands import ml_plan
from dataflows.outputs import Outputs, chosen
from dataflows.replay import facts_of, inputs_of, look, plan_of
from dataflows.setup import kline_plan, paper_of, prepare
from dataflows.summary import summarize
from strategies.registry import check
from strategies.spec import InstanceSpec


def specs_of(names: list[str] | None, settings: Settings) -> tuple[InstanceSpec, ...]:
    """Return the instances to run: those named, with their settings if they have some, or all.

    Raises:
        StrategyError: A name that is neither an instance of the settings nor a strategy.

    """
    if not names:
        return settings.strategies
    known = {spec.instance: spec for spec in settings.strategies}
    specs = tuple(known.get(name) or InstanceSpec(name=name) for name in names)
    check(*specs)
    return specs


def _settings(
    config: Path | None, set_: list[str] | None, lake: Path | None, redis: str
) -> Settings:
    tree: dict[str, Any] = {"redis": {"url": redis}, **overrides(set_)}
    if lake is not None:
        tree.setdefault("lake", {})["path"] = str(lake)
    return prepare(config, tree)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def replay(
        paths: Annotated[
            list[Path],
            typer.Argument(help="Recordings, captures, lake folders, Binance csv or zip files."),
        ],
        symbol: Annotated[
            str | None, typer.Option(help="Symbol, where the file's name does not say.")
        ] = None,
        market: Annotated[
            Literal["spot", "usdm"] | None, typer.Option(help="Market, likewise.")
        ] = None,
        strategy: Annotated[
            list[str] | None,
            typer.Option(help="Only these strategies; by default all that are set."),
        ] = None,
        lake: Annotated[
            Path | None, typer.Option(help="Write a lake there; without it none is written.")
        ] = None,
        redis: Annotated[
            str, typer.Option(help="Publish to this address; `none` publishes nowhere.")
        ] = NO_REDIS,
        speed: Annotated[
            float | None, typer.Option(min=0.001, help="1 is real time; as fast as can be else.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        workers: Workers = 1,
        *,
        json: Json = False,
    ) -> None:
        """Run files through the same flow as live data and say what came of it."""
        settings = _settings(config, set_, lake, redis)
        specs = specs_of(strategy, settings)
        found = look(paths, symbol=symbol, market=market)
        inputs = inputs_of(found, symbol=symbol, market=market, speed=speed)
        outputs = chosen(settings, lake=lake is not None, redis=redis != NO_REDIS)
        klines = plan_of(found, kline_plan(settings, live=speed is not None))
        work = Work(klines, specs, paper_of(settings), ml_plan(settings))
        stop_on_signals()
        began = time.monotonic()
        with bar(show=not json):
            engine.run(build(inputs, work, Outputs(outputs)), workers=workers)
        summary = summarize(time.monotonic() - began, lake=lake is not None)
        files = facts_of(inputs)
        if json:
            print_json(summary.as_dict() | {"files": [file.as_dict() for file in files]})
            return
        print_summary(summary)
        print_files(files)
        if lake is not None:
            ERR.print(f"the lake is in {lake}")
