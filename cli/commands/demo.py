"""``cryptotools demo``: the main job on a local simulated exchange, nothing else needed."""

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli.commands.config import as_toml
from cli.console import ConsoleSink
from cli.output import ERR, OUT, Json, print_json
from cli.report import print_summary
from config.settings import Settings
from connectors.redis.embedded import stop as stop_server
from connectors.shutdown import STOP
from core.market.errors import ConfigError, ServiceError
from dataflows import engine
from dataflows.addresses import redis_url
from dataflows.main import Work, build, live_source
from dataflows.ml_commands import ml_plan
from dataflows.outputs import outputs_of
from dataflows.setup import kline_plan, paper_of, prepare
from dataflows.summary import summarize

SPEED = 30.0
_MARK = ".cryptotools-demo"
# Short periods, so that signals come within seconds of market minutes.
_STRATEGIES = [
    {"name": "rsi_reversal", "params": {"period": 5, "oversold": 40, "overbought": 60}},
    {"name": "macd_cross", "params": {"fast": 3, "slow": 6, "signal": 3}},
    {"name": "bollinger_breakout", "params": {"period": 6, "width": 1.2}},
]


def prepare_folder(path: Path) -> None:
    """Make the demo's folder anew; refuse one that some other program filled."""
    if path.exists() and any(path.iterdir()):
        if not (path / _MARK).exists():
            why = f"`{path}` holds other files"
            raise ConfigError("--dir", why, hint="name an empty folder or a new one")
        with contextlib.suppress(ServiceError):
            stop_server(path / "state" / "redis")
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / _MARK).touch()


@contextlib.contextmanager
def exchange(speed: float) -> Iterator[dict[str, Any]]:
    """Run a simulated exchange as a process of its own; yield its addresses and symbols."""
    command = [
        sys.executable, "-m", "cli.main", "simulate", "--scenario", "demo", "--port", "0",
        "--speed", str(speed), "--json",
    ]  # fmt: skip
    # In its own session: a Ctrl-C is for the flow, which then ends first.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        first = process.stdout.readline() if process.stdout else ""
        if not first:
            error = process.stderr.read() if process.stderr else ""
            raise ServiceError("simulator", error.strip() or "did not start")
        yield orjson.loads(first)
    finally:
        process.terminate()
        process.wait(10)


def demo_settings(path: Path, found: dict[str, Any]) -> Settings:
    """Return the settings of a demo: all files below `path`."""
    path = path.absolute()
    return prepare(
        overrides={
            "symbols": found["symbols"],
            "binance": {"ws_url": found["ws"], "rest_url": found["rest"]},
            "klines": {"intervals": ["1m", "5m"]},
            "strategies": _STRATEGIES,
            "lake": {"path": str(path / "lake")},
            "recording": {"path": str(path / "recordings")},
            "state_dir": str(path / "state"),
            "log": {"level": "error"},
        }
    )


def _keep(settings: Settings, path: Path) -> Path:
    # With its settings a demo can be looked at, and its recording replayed, afterwards.
    file = path / "cryptotools.toml"
    file.write_text(as_toml(settings.model_dump(mode="json")) + "\n")
    return file


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        directory: Annotated[Path, typer.Option("--dir", help="Folder of its files.")] = Path(
            "demo"
        ),
        speed: Annotated[float, typer.Option(help="Market seconds per second.")] = SPEED,
        seconds: Annotated[float, typer.Option(help="Stop after this long; 0: on Ctrl-C.")] = 0.0,
        *,
        json: Json = False,
    ) -> None:
        """Run everything on a local simulated exchange, with a scripted disconnect."""
        prepare_folder(directory)
        with exchange(speed) as found:
            settings = demo_settings(directory, found)
            file = _keep(settings, directory)
            url = redis_url(settings) or ""
            sinks = outputs_of(settings)
            show = ConsoleSink(json=json)
            outputs = replace(sinks, records={**sinks.records, "console": show})
            work = Work(
                kline_plan(settings), settings.strategies, paper_of(settings), ml_plan(settings)
            )
            source = live_source(settings, redis_url(settings), work.ml)
            flow = build({"exchange": source}, work, outputs)
            _announce(directory, url, found, speed, json=json)
            if seconds:
                threading.Timer(seconds, STOP.set).start()
            began = time.monotonic()
            engine.run(flow)
        summary = summarize(time.monotonic() - began, lake=True)
        stop_server(settings.state_dir / "redis")
        if json:
            print_json(summary.as_dict())
        else:
            print_summary(summary)
            OUT.print(f"the lake stays in {directory / 'lake'}; replay the recording with:")
            OUT.print(f"  cryptotools replay {directory / 'recordings'} -c {file}")


def _announce(
    directory: Path, url: str, found: dict[str, Any], speed: float, *, json: bool
) -> None:
    facts = {
        "exchange": found["ws"], "redis": url, "lake": str(directory / "lake"),
        "recordings": str(directory / "recordings"), "symbols": found["symbols"],
    }  # fmt: skip
    if json:
        print_json(facts)
        return
    OUT.print(f"[bold]CryptoTools demo[/]: {' '.join(found['symbols'])}, {speed:g} times as fast")
    OUT.print(f"  Redis   {url}")
    OUT.print(f"  lake    {facts['lake']}")
    OUT.print(f"  look    cryptotools tail kline -c {directory / 'cryptotools.toml'}")
    OUT.print("  after five seconds the connection is cut and what was missed is repaired")
    ERR.print("[dim]Ctrl-C ends it[/]")
