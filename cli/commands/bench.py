"""``cryptotools bench``: the budgets, measured here."""

import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli.output import ERR, OUT, Json, print_json, table
from core.market.errors import ConfigError
from telemetry import log

_SUITES = {
    "wire": ("bench.micro", "wire"),
    "indicators": ("bench.indicators", "indicators"),
    "strategies": ("bench.strategies", "strategies"),
    "replay": ("bench.replay", "replay"),
    "backtest": ("bench.backtest", "backtest"),
    "live": ("bench.live", "live"),
    "push": ("bench.push", "push"),
    "repair": ("bench.repair", "repair"),
}
_PUSH = "Of the suite push"
_VERDICTS = {"met": "[green]met[/]", "missed": "[bold red]missed[/]", "": ""}


class Transport(StrEnum):
    """What clients of live push are connected by."""

    sse = "sse"
    ws = "ws"


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [ln for ln in cpuinfo.read_text().splitlines() if ln.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["cryptotools", *sys.argv[1:]]),
    }


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def bench(
        suites: Annotated[
            list[str] | None, typer.Argument(help=f"Of {', '.join(_SUITES)}; all by default.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option("--out", "-o", help="Write the results as JSON too.")
        ] = None,
        clients: Annotated[int, typer.Option(min=1, rich_help_panel=_PUSH)] = 200,
        rate: Annotated[
            float, typer.Option(min=0.1, help="Updates per second of each.", rich_help_panel=_PUSH)
        ] = 10.0,
        stalled: Annotated[
            int, typer.Option(min=0, help="More that read nothing.", rich_help_panel=_PUSH)
        ] = 5,
        seconds: Annotated[
            float, typer.Option(min=0.5, help="Measured of each run.", rich_help_panel=_PUSH)
        ] = 20.0,
        transport: Annotated[
            Transport, typer.Option(help="What clients use.", rich_help_panel=_PUSH)
        ] = Transport.sse,
        *,
        json: Json = False,
    ) -> None:
        """Measure speed, latency and size against their budgets."""
        log.configure("error")
        names = suites or list(_SUITES)
        for name in names:
            if name not in _SUITES:
                raise ConfigError("suite", f"there is no `{name}`", hint=f"of {' '.join(_SUITES)}")
        asked = {"clients": clients, "rate": rate, "stalled": stalled, "seconds": seconds,
                 "transport": transport.value}  # fmt: skip
        facts = machine()
        rows = []
        for name in names:
            ERR.print(f"[dim]measuring {name} …[/]")
            module, function = _SUITES[name]
            own = asked if name == "push" else {}
            rows += getattr(import_module(module), function)(**own)
        results = [{**asdict(row), "verdict": row.verdict} for row in rows]
        found = {"machine": facts, "rows": results}
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        if json:
            print_json(found)
            return
        cells: list[tuple[object, ...]] = [
            (r.name, f"{r.value:.3g}" if r.value < 1000 else f"{r.value:,.0f}", r.unit,
             "" if r.budget is None else f"{'<=' if r.at_most else '>='} {r.budget:g}",
             _VERDICTS[r.verdict], r.against) for r in rows
        ]  # fmt: skip
        OUT.print(table("what", "measured", "", "budget", "", "in the same run", rows=cells,
                        right=(1, 3)))  # fmt: skip
        OUT.print(f"[dim]{', '.join(f'{k} {v}' for k, v in facts.items())}[/]")
