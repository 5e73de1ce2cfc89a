"""``cryptotools strategy new`` and ``test``: a strategy of one's own, from nothing to trusted."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides, params
from cli.output import ERR, OUT, Json, print_json, table
from config.settings import Settings
from connectors.archive.klines import read_klines
from connectors.archive.names import Kind, detect
from core.market.errors import ConfigError, FileError, IntervalError, StrategyError
from core.market.intervals import interval as checked
from core.market.kline import Kline
from dataflows.examine import Finding, Report, examine
from dataflows.setup import prepare
from strategies.registry import REGISTRY, check_name
from strategies.spec import InstanceSpec
from strategies.templates import templates, written, written_test

_FOLDER = Path("my_strategies")
_MARKS = {"pass": "[green]pass[/]", "fail": "[bold red]fail[/]", "warn": "[yellow]warn[/]"}


def register_files(group: typer.Typer) -> None:
    """Add both to the group."""
    group.command(name="new")(new)
    group.command(name="test")(check)


def new(
    name: Annotated[str, typer.Argument(help="Of the strategy: small letters, digits and _.")],
    template: Annotated[
        str, typer.Option("--template", "-t", help=f"One of {', '.join(templates())}.")
    ] = "indicator",
    folder: Annotated[
        Path | None,
        typer.Option("--dir", "-d", help="Where; `strategies_dir`, else my_strategies."),
    ] = None,
    config: ConfigFile = None,
    set_: Set = None,
    *,
    tests: Annotated[bool, typer.Option("--tests/--no-tests", help="Write a test file.")] = True,
    json: Json = False,
) -> None:
    """Write a strategy that works, to be changed into yours, and a test of it."""
    settings = prepare(config, overrides(set_))
    check_name(name)
    if name in REGISTRY.names():
        raise StrategyError(name, "there is a strategy of this name", hint="choose another name")
    if template not in templates():
        hint = f"there are {' '.join(templates())}"
        raise ConfigError("--template", f"there is no `{template}`", hint=hint)
    place = folder or settings.strategies_dir or _FOLDER
    files = {place / f"{name}.py": written(template, name)}
    if tests:
        files[place / "tests" / f"test_{name}.py"] = written_test(name)
    _write(files)
    if json:
        print_json({"files": [str(path) for path in files], "strategies_dir": str(place)})
        return
    for path in files:
        OUT.print(f"wrote {escape(str(path))}", soft_wrap=True)
    _tell_what_next(name, place, settings)


def check(
    name: Annotated[str, typer.Argument(help="Name of the strategy.")],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter.")
    ] = None,
    interval: Annotated[str, typer.Option("--interval", "-i", help="Of its klines.")] = "1m",
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="Kline files; a made-up market else.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the made-up market.")] = 1,
    config: ConfigFile = None,
    set_: Set = None,
    *,
    json: Json = False,
) -> None:
    """Check that a strategy keeps what a strategy must: the same live, in a replay, after restarts.

    Exit code 1 when a check fails.
    """
    prepare(config, overrides(set_))
    klines = _klines(data or [])
    spec = _spec(name, interval, param, klines)
    report = examine(spec, klines=klines, seed=seed, told=_told(json=json))
    if json:
        print_json(_as_dict(report))
    else:
        _show(report)
    if report.failed:
        raise typer.Exit(1)


def _spec(name: str, interval: str, param: list[str] | None, klines: list[Kline]) -> InstanceSpec:
    strategy = REGISTRY.find(name)
    symbols = (klines[0].symbol,) if klines else ("BTCUSDT",)
    if klines and interval != klines[0].interval.name:
        interval = klines[0].interval.name
        ERR.print(f"[dim]the files hold klines of {interval}[/]")
    legs = {leg: f"LEG{n}USDT" for n, leg in enumerate(strategy.legs, start=1)}
    try:
        checked(interval)
    except IntervalError as error:
        raise ConfigError("--interval", str(error)) from None
    return InstanceSpec(
        name=name, interval=interval, symbols=symbols, params=params(param), legs=legs
    )


def _klines(paths: list[Path]) -> list[Kline]:
    found: list[Kline] = []
    for path in paths:
        file = detect(path)
        if file.kind is not Kind.KLINES:
            hint = "give files of klines, or none for a made-up market"
            raise FileError(path, f"holds {file.kind.value}; {hint}")
        found += [item for item in read_klines(file) if isinstance(item, Kline)]
    return sorted(found, key=lambda kline: kline.open_us)


def _write(files: dict[Path, str]) -> None:
    for path in files:
        if path.exists():
            raise FileError(path, "exists already; choose another name, or move it away")
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise FileError(path, f"cannot be written ({error.strerror})") from None


def _tell_what_next(name: str, place: Path, settings: Settings) -> None:
    own = settings.strategies_dir
    known = own is not None and place.resolve() == own.resolve()
    with_dir = "" if known else f" --set strategies_dir={place}"
    if not known:
        OUT.print(f'so that it is found, in cryptotools.toml: strategies_dir = "{place}"')
    OUT.print("next:")
    for command in (
        f"cryptotools strategy test {name}{with_dir}",
        f"cryptotools backtest --strategy {name} --data FILE{with_dir}",
        f"cryptotools strategy add {name}   # into a flow that runs with this folder",
    ):
        OUT.print(f"  {escape(command)}", soft_wrap=True)


def _told(*, json: bool) -> Callable[[str], None]:
    def tell(check: str) -> None:
        if not json and ERR.is_terminal:
            ERR.print(f"[dim]{check} …[/]")

    return tell


def _as_dict(report: Report) -> dict[str, object]:
    found = [{"check": f.check, "verdict": f.verdict, "detail": f.detail} for f in report.findings]
    return {
        "strategy": report.spec.name,
        "interval": report.spec.interval,
        "params": report.spec.params,
        "klines": report.klines,
        "signals": report.signals,
        "passed": not report.failed,
        "checks": found,
    }


def _show(report: Report) -> None:
    rows: list[tuple[object, ...]] = [_row(finding) for finding in report.findings]
    OUT.print(table("check", "", "", rows=rows))
    failed = len(report.failed)
    OUT.print("[bold red]it cannot be trusted yet[/]" if failed else "[green]it keeps them all[/]")


def _row(finding: Finding) -> tuple[object, ...]:
    return finding.check, _MARKS[finding.verdict], escape(finding.detail)
