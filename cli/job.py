"""A replay or a back-test as a process of its own: ``python -m cli.job <folder>``.

    settings.json, job.json ─► this ─► result.json, report.html
                                └► lines of JSON on stdout: {"progress": 0.5, "rows": 1000}

It ends when its standard input does: whoever started it holds the other end, and is gone then.
"""

import os
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from cli.commands.replay import specs_of
from config.settings import Settings
from connectors.durable import publish
from connectors.shutdown import STOP, stop_on_signals
from core.market.errors import CryptoToolsError
from dataflows import engine
from dataflows.main import Work, build
from dataflows.ml_commands import ml_plan
from dataflows.outputs import Outputs
from dataflows.replay import facts_of, inputs_of, look, plan_of
from dataflows.setup import kline_plan, paper_of, prepare_saved
from dataflows.summary import summarize
from reports.backtest import html
from reports.order import Data, check, identified, swept, understand
from reports.plain import as_dict
from strategies.spec import InstanceSpec
from telemetry.progress import PROGRESS

Told = dict[str, Any]

_EVERY_S = 0.25
_SERVICE = "jobs"
_STOPPED = 130


def main() -> None:
    """Do what the folder says; the exit code is 0 if it was done."""
    folder = Path(sys.argv[1])
    stop_on_signals()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    out = _Lines()
    try:
        job: Told = orjson.loads((folder / "job.json").read_bytes())
        settings = prepare_saved(folder / "settings.json")
        work = _backtest if job["kind"] == "backtest" else _replay
        work(folder, settings, job, out)
    except CryptoToolsError as error:
        text, _, hint = str(error).partition("\nhint: ")
        out.say(error=text, hint=hint)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_STOPPED)
    if STOP.is_set():
        sys.exit(_STOPPED)


def _backtest(folder: Path, settings: Settings, job: Told, out: "_Lines") -> None:
    data = Data(tuple(map(Path, job["paths"])), tuple(job["symbols"]), job["market"])
    times = (_time(job["start"]), _time(job["end"]), job["warmup"])
    specs = _specs(settings, job)
    order = understand(settings, specs, job["params"], data, times, most=job["most"])
    run = identified(order, job["sort"], job["top"])
    found = swept(order, 1, run, lambda done: out.say(progress=done, rows=PROGRESS.rows))
    check(found, order)
    _publish(folder, "report.html", html(run, found).encode())
    _publish(folder, "result.json", orjson.dumps(as_dict(run, found)))


def _replay(folder: Path, settings: Settings, job: Told, out: "_Lines") -> None:
    found = look(map(Path, job["paths"]), symbol=job["symbol"], market=job["market"])
    inputs = inputs_of(found, symbol=job["symbol"], market=job["market"])
    plan = plan_of(found, kline_plan(settings, live=False))
    specs = specs_of(job["strategies"], settings)
    work = Work(plan, specs, paper_of(settings), ml_plan(settings))
    began = time.monotonic()
    with out.watching():
        engine.run(build(inputs, work, Outputs({})))
    if STOP.is_set():
        raise KeyboardInterrupt
    told = summarize(time.monotonic() - began).as_dict()
    files = [file.as_dict() for file in facts_of(inputs)]
    _publish(folder, "result.json", orjson.dumps(told | {"files": files}))


def _specs(settings: Settings, job: Told) -> tuple[InstanceSpec, ...]:
    change: Told = {}
    if job["interval"] is not None:
        change["interval"] = job["interval"]
    if job["symbols"]:
        change["symbols"] = tuple(job["symbols"])
    found = specs_of(job["strategies"], settings)
    return tuple(spec.model_copy(update=change) for spec in found)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _publish(folder: Path, name: str, body: bytes) -> None:
    publish(folder / name, body, service=_SERVICE)


class _Lines:
    """Says how far it is, on stdout; now and then, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def say(self, **said: object) -> None:
        """Say something; of progress only what is not said too often."""
        with self._lock:
            now = time.monotonic()
            if "progress" in said and now < self._next:
                return
            self._next = now + _EVERY_S
            sys.stdout.buffer.write(orjson.dumps(said) + b"\n")
            sys.stdout.buffer.flush()

    def watching(self) -> "_Watch":
        """Return what says how far the input has been read, as long as it is open."""
        return _Watch(self)


class _Watch:
    def __init__(self, out: _Lines) -> None:
        self._out = out
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(_EVERY_S):
            share = PROGRESS.done_bytes / max(1, PROGRESS.total_bytes)
            self._out.say(progress=min(1.0, share), rows=PROGRESS.rows)


def _leave_with_parent() -> None:
    while os.read(0, 1):  # not through `sys.stdin`, whose lock would be held at the end
        pass
    os._exit(_STOPPED)


if __name__ == "__main__":
    main()
