"""``cryptotools ml …``: rows of features, training, what is in the registry, what is promoted."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from cli.model_command import command
from cli.model_views import show_manifest, show_metrics, show_versions
from cli.options import ConfigFile, Set, Workers, overrides, params
from cli.output import ERR, Json, print_json
from cli.progress import bar
from config.settings import Settings
from connectors.shutdown import stop_on_signals
from core.market.errors import ConfigError, ModelError
from dataflows.ml_features import compute
from dataflows.ml_registry import ModelRegistry
from dataflows.ml_rows import read_table
from dataflows.ml_training import ESTIMATORS, Order, evaluate, train
from dataflows.replay import inputs_of, look, plan_of
from dataflows.setup import kline_plan, prepare
from strategies.ml.config import CURRENT
from strategies.ml.features import FeatureSet
from strategies.ml.labels import Target
from telemetry import metrics

Features = Annotated[str, typer.Option("--features", "-f", help="Name of the set of features.")]
Lake = Annotated[Path | None, typer.Option("--lake", help="Folder; `lake.path` by default.")]
Symbol = Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Only these symbols.")]
Name = Annotated[str, typer.Argument(help="Name of the model.")]
Wait = Annotated[
    float, typer.Option("--wait", min=0, max=60, help="Seconds to wait for the outcome.")
]

_SECONDS = 30.0
_ESTIMATORS = "; ".join(f"{name}: {one.about}" for name, one in ESTIMATORS.items())


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Features and models: compute rows, train, evaluate, list, promote.",
    )
    app.add_typer(group, name="ml")
    _register_features(group)
    _register_train(group)
    _register_evaluate(group)
    _register_views(group)
    _register_promote(group)
    _register_shadows(group)


def _register_features(group: typer.Typer) -> None:
    @group.command()
    def features(
        paths: Annotated[
            list[Path],
            typer.Argument(help="Recordings, captures, lake folders, Binance csv or zip files."),
        ],
        features: Annotated[
            list[str] | None, typer.Option("--features", "-f", help="Only these sets; all else.")
        ] = None,
        lake: Lake = None,
        symbol: Annotated[
            str | None, typer.Option(help="Symbol, where the file's name does not say.")
        ] = None,
        market: Annotated[
            Literal["spot", "usdm"] | None, typer.Option(help="Market, likewise.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        workers: Workers = 1,
        *,
        json: Json = False,
    ) -> None:
        """Compute rows of features of files into a lake, as a running flow does."""
        settings = prepare(config, overrides(set_))
        own = settings.ml.features
        sets = tuple(_set(settings, name) for name in features) if features else own
        if not sets:
            raise ConfigError("ml.features", "there are no sets", hint="see docs/guides/ml.md")
        found = look(paths, symbol=symbol, market=market)
        inputs = inputs_of(found, symbol=symbol, market=market)
        klines = plan_of(found, kline_plan(settings, live=False))
        place = settings.lake if lake is None else settings.lake.model_copy(update={"path": lake})
        stop_on_signals()
        with bar(show=not json, label="ml features"):
            compute(inputs, klines, sets, place, workers=workers)
        rows = {one.name: metrics.total(metrics.FEATURE_ROWS, features=one.name) for one in sets}
        if json:
            print_json({"lake": str(place.path), "rows": rows})
            return
        for one in sets:
            ERR.print(f"{rows[one.name]} rows of {one.name} ({len(one.features)} columns, "
                      f"definition {one.definition}) are in {place.path}")  # fmt: skip


def _register_train(group: typer.Typer) -> None:
    @group.command(name="train")
    def train_(
        name: Annotated[str, typer.Option("--name", "-n", help="Name of the model.")],
        features: Features,
        model: Annotated[
            str, typer.Option("--model", "-m", help=_ESTIMATORS.replace("[", "("))
        ] = "logistic",
        horizon: Annotated[int, typer.Option(min=1, max=10_000, help="Klines ahead.")] = 5,
        band: Annotated[float, typer.Option(min=0, help="Returns up to it teach nothing.")] = 0.0,
        holdout: Annotated[
            float, typer.Option(min=0.05, max=0.9, help="Latest share of rows, to judge by.")
        ] = 0.2,
        param: Annotated[
            list[str] | None,
            typer.Option("--param", "-p", metavar="NAME=VALUE", help="Of the estimator."),
        ] = None,
        symbol: Symbol = None,
        lake: Annotated[
            Path | None, typer.Option("--data", "--lake", help="Lake with rows of features.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Train a version on earlier rows, judge it by later ones, put it into the registry."""
        settings = prepare(config, overrides(set_))
        found = ESTIMATORS.get(model)
        if found is None:
            raise ConfigError("--model", f"there is no `{model}`", hint=f"one of {_ESTIMATORS}")
        target = Target(kind=found.predicts, horizon=horizon,
                        band=band if found.predicts == "up" else 0.0)  # fmt: skip
        own = _set(settings, features)
        table = read_table(lake or settings.lake.path, own, target, _upper(symbol))
        order = Order(name, model, own, target, holdout, params(param))
        manifest, graph = train(order, table)
        manifest = ModelRegistry(settings.ml.registry).save(manifest, graph)
        if json:
            print_json(manifest.model_dump(mode="json", by_alias=True))
            return
        show_manifest(manifest)
        ERR.print(f"try it: cryptotools ml shadow {name} {manifest.version}; "
                  f"or: cryptotools ml promote {name} {manifest.version}")  # fmt: skip


def _register_evaluate(group: typer.Typer) -> None:
    @group.command(name="evaluate")
    def evaluate_(
        name: Name,
        version: Annotated[str, typer.Argument(help="Version, or its first characters.")] = CURRENT,
        symbol: Symbol = None,
        lake: Annotated[
            Path | None, typer.Option("--data", "--lake", help="Lake with rows of features.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Judge a version by other rows, and say how far they are from what it was trained on."""
        settings = prepare(config, overrides(set_))
        registry = ModelRegistry(settings.ml.registry)
        model = registry.load(name, _existing(registry, name, version))
        manifest = model.manifest
        path = lake or settings.lake.path
        table = read_table(path, manifest.features, manifest.target, _upper(symbol))
        found = evaluate(model, table)
        if json:
            print_json({"model": name, "version": manifest.version, **found})
            return
        show_metrics(
            {"rows judged": (found["first"], found["last"], found["metrics"])}, found["psi"]
        )


def _register_views(group: typer.Typer) -> None:
    @group.command(name="list")
    def list_(
        name: Annotated[str, typer.Argument(help="Only versions of this model.")] = "",
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """List the versions in the registry; `*` marks the one that a flow begins with."""
        settings = prepare(config, overrides(set_))
        registry = ModelRegistry(settings.ml.registry)
        found = registry.manifests(name)
        current = {m.name: registry.current(m.name) for m in found}
        if json:
            print_json([{"current": current[m.name] == m.version,
                         **m.model_dump(mode="json", by_alias=True)} for m in found])  # fmt: skip
            return
        show_versions(found, current, settings.ml.registry)

    @group.command()
    def show(
        name: Name,
        version: Annotated[str, typer.Argument(help="Version, or its first characters.")] = CURRENT,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Show what is known of a version."""
        settings = prepare(config, overrides(set_))
        registry = ModelRegistry(settings.ml.registry)
        manifest = registry.manifest(name, _existing(registry, name, version))
        if json:
            print_json(manifest.model_dump(mode="json", by_alias=True))
            return
        show_manifest(manifest)


def _register_promote(group: typer.Typer) -> None:
    @group.command()
    def promote(
        name: Name,
        version: Annotated[str, typer.Argument(help="Version, its first characters, or none.")],
        wait: Wait = _SECONDS,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        offline: Annotated[
            bool, typer.Option("--offline", help="No flow runs: only what the next begins with.")
        ] = False,
        json: Json = False,
    ) -> None:
        """Have a version's predictions count from the next kline on, and after every restart."""
        settings = prepare(config, overrides(set_))
        if offline:
            registry = ModelRegistry(settings.ml.registry)
            whole = registry.resolve(name, version)
            if whole:
                registry.load(name, whole)  # what cannot be loaded is found before it is needed
            registry.promote(name, whole)
        else:
            whole = command(settings, "promote", name, version, wait, json=json).model.current
        ERR.print(f"{escape(name)} begins with {whole or 'no version'} from now on")


def _register_shadows(group: typer.Typer) -> None:
    @group.command()
    def shadow(
        name: Name,
        version: Annotated[str, typer.Argument(help="Version, or its first characters.")],
        wait: Wait = _SECONDS,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Score a version in the running flow, beside the one that counts."""
        settings = prepare(config, overrides(set_))
        command(settings, "shadow", name, version, wait, json=json)

    @group.command()
    def unshadow(
        name: Name,
        version: Annotated[str, typer.Argument(help="Version, or its first characters.")],
        wait: Wait = _SECONDS,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Score a version no longer."""
        settings = prepare(config, overrides(set_))
        command(settings, "unshadow", name, version, wait, json=json)


def _set(settings: Settings, name: str) -> FeatureSet:
    found = settings.ml.set_of(name)
    if found is None:
        names = " ".join(one.name for one in settings.ml.features) or "none"
        raise ConfigError("ml.features", f"there is no set `{name}`", hint=f"there are {names}")
    return found


def _existing(registry: ModelRegistry, name: str, version: str) -> str:
    whole = registry.resolve(name, version)
    if not whole:
        hint = f"cryptotools ml list {name}"
        raise ModelError(name, "no version is promoted: name one", hint=hint)
    return whole


def _upper(symbols: list[str] | None) -> list[str] | None:
    return None if not symbols else [s if ":" in s else s.upper() for s in symbols]
