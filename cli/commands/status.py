"""``cryptotools status``: how the flow of this state folder is."""

import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides
from cli.output import OUT, Json, print_json, table
from cli.progress import human
from config.settings import load
from dataflows.account import Row
from dataflows.status import Status, read_status

_EVERY_S = 1.0
_COLOURS = {"running": "green", "starting": "yellow", "stopping": "yellow", "restarting": "yellow"}
_NOT_RUNNING = {
    "none": "nothing has run here",
    "waiting": "nothing runs: it waits for space, and goes on then",
    "stopped": "nothing runs: it was stopped",
    "failed": "nothing runs: it failed",
    "dead": "nothing runs: it ended without a word",
    "frozen": "the flow gives no sign of life",
}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def status(
        config: ConfigFile = None,
        set_: Set = None,
        *,
        watch: Annotated[
            bool, typer.Option("--watch", "-w", help="Show it anew each second, until Ctrl-C.")
        ] = False,
        json: Json = False,
    ) -> None:
        """Say how the running flow is; exit code 0 if it runs and is well, else 3."""
        state_dir = load(config, overrides=overrides(set_)).state_dir
        if watch:
            _watch(state_dir, json=json)
        found = read_status(state_dir)
        if json:
            print_json(found.as_dict())
        else:
            OUT.print(shown(found))
        if not found.well:
            raise typer.Exit(3)


def _watch(state_dir: Path, *, json: bool) -> NoReturn:
    if json:
        while True:
            print_json(read_status(state_dir).as_dict())
            time.sleep(_EVERY_S)
    with Live(shown(read_status(state_dir)), console=OUT, refresh_per_second=4) as live:
        while True:
            time.sleep(_EVERY_S)
            live.update(shown(read_status(state_dir)))


def shown(status: Status) -> RenderableType:
    """Return a status as people read it."""
    parts: list[RenderableType] = [_headline(status)]
    parts += [f"[bold red]{escape(trouble)}[/]" for trouble in status.troubles]
    parts += [f"[red]{escape(text)}[/]" for text in _failures(status)]
    if status.processes:
        parts += ["", _symbols(status), "", _facts(status)]
    return Group(*parts)


def _headline(status: Status) -> str:
    if status.state in _NOT_RUNNING:
        age = "" if status.age_s is None else f", last heard of {status.age_s:.0f} s ago"
        return f"[bold red]{_NOT_RUNNING[status.state]}[/]{age}"
    uptime = max((float(row["uptime_s"]) for row in status.processes.values()), default=0.0)
    again = f", restarted {status.restarts} times" if status.restarts else ""
    colour = "red" if status.troubles else _COLOURS[status.state]
    return f"[bold {colour}]{status.state}[/] for {_duration(uptime)}{again}"


def _failures(status: Status) -> list[str]:
    told = [row["failure"]["text"] for row in status.processes.values() if row.get("failure")]
    if status.supervisor and status.supervisor["last_cause"]:
        told.append(f"last failure: {status.supervisor['last_cause']}")
    return list(dict.fromkeys(told))


def _symbols(status: Status) -> RenderableType:
    rows: list[tuple[object, ...]] = [
        (escape(key), *_last(one), f"{one['lag_s']:.1f} s", one["gaps_open"])
        for key, one in status.symbols.items()
    ]  # fmt: skip
    seen = {key.partition(":")[2] for key in status.symbols}
    following = {symbol for row in status.processes.values() for symbol in row["following"]}
    rows += [(escape(symbol), "-", "-", "-", "-") for symbol in sorted(following - seen)]
    names = ("symbol", "last trade", "at", "behind", "gaps open")
    return table(*names, rows=rows, right=(1, 3, 4))


def _last(symbol: Row) -> tuple[object, object]:
    # A quiet one may have had no trade since the flow began.
    return (
        ("-", "-") if symbol["last_id"] is None else (symbol["last_id"], symbol["last_time"][:23])
    )


def _facts(status: Status) -> RenderableType:
    rows = status.rows
    counts = ", ".join(f"{rows.get(name, 0)} {name}" for name in rows)
    links = sum(status.links.values())
    pids = " ".join(str(row["pid"]) for row in status.processes.values())
    first = next(iter(status.processes.values()))
    free = first["disk"].get("free_bytes")
    redis = "none" if first["redis"] is None else f"{status.backlog_rows} rows wait"
    facts: list[tuple[object, ...]] = [
        ("rows", counts),
        ("links", f"{links} open{_rate(status)}"),
        *([("latency", told)] if (told := _latency(status)) else []),
        ("redis", redis),
        ("disk", "-" if free is None else f"{human(free)}B free"),
        ("memory", f"{status.rss_bytes >> 20} MiB"),
        ("processes", f"{pids}, version {first['version']}"),
    ]
    if status.supervisor:
        facts.append(("supervisor", f"{status.supervisor['pid']}, {status.supervisor['state']}"))
    return table("", "", rows=facts)


def _rate(status: Status) -> str:
    rates = [
        link["msgs_s"]
        for row in status.processes.values()
        for link in row.get("connections", ())
        if link.get("msgs_s") is not None
    ]
    return f", {sum(rates):,.0f} messages/s" if rates else ""


def _latency(status: Status) -> str:
    # Of the process where a stage is slowest.
    worst: dict[str, Row] = {}
    for row in status.processes.values():
        for stage, one in row.get("latency_ms", {}).items():
            if stage not in worst or one["p99"] > worst[stage]["p99"]:
                worst[stage] = one
    shown = (f"{stage} {one['p50']:.3g} / {one['p99']:.3g} ms" for stage, one in worst.items())
    return ", ".join(shown) + " (p50 / p99)" if worst else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
