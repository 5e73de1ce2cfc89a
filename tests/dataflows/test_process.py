"""Locks, the heartbeat, and what the engine was told."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from config.engine import EngineOptions, engine_options
from config.settings import Settings, load
from connectors.shutdown import FIRST, telling
from core.exchange.plan import Plan
from core.market.errors import ServiceError
from core.market.events import Connected, Disconnected, Frame, GapOpened, Rotated, Tick
from core.market.trades import Trades
from dataflows.claim import claim, holder_of, join, state_lock, store_lock
from dataflows.heartbeat import Heartbeat
from dataflows.pulse import Pulse
from telemetry import metrics

ROOT = Path(__file__).parents[2]
KEY = "binance:BTCUSDT"
SHARD = "binance:shard-0"


@pytest.fixture(autouse=True)
def _no_error() -> Iterator[None]:
    FIRST.clear()
    yield
    FIRST.listen(None)
    FIRST.clear()


def settings(folder: Path) -> Settings:
    changes = {"state_dir": str(folder / "state"), "lake": {"path": str(folder)}}
    return load(env={}, dotenv=None, overrides=changes)


def told(folder: Path, process: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"state/status/{process}.json").read_text())
    return found


def trades(first: int, last: int, time_us: int) -> Trades:
    ids = np.arange(first, last + 1, dtype=np.int64)
    ones = np.ones(len(ids), np.int64)
    return Trades(
        key=KEY, price_scale=2, quantity_scale=3, id=ids, time_us=ones * time_us, price=ones,
        quantity=ones, buyer_is_maker=ids % 2 == 0,
    )  # fmt: skip


# ---- locks ----


def test_a_second_claim_is_refused_and_names_the_first(tmp_path: Path) -> None:
    lock = state_lock(tmp_path / "state")
    assert holder_of(lock) == 0
    with claim(lock):
        assert holder_of(lock) == os.getpid()
        with pytest.raises(
            ServiceError, match=f"process {os.getpid()} runs a flow on it"
        ) as caught:
            claim(lock)
        assert caught.value.exit_code == 3
        claim(lock, process=1).release()
        claim(store_lock(tmp_path / "state" / "recovery")).release()
    assert holder_of(lock) == 0
    claim(lock).release()


def test_a_process_whose_parent_has_the_lock_belongs_to_it(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from dataflows.claim import join\n"
        "own, parent = join(Path(sys.argv[1]), int(sys.argv[2]))\n"
        "print(own is None, parent == os.getppid())"
    )
    lock = tmp_path / "lock"

    def child(process: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", code, str(lock), str(process)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        ).stdout.strip()  # fmt: skip

    assert child(0) == "False False"  # nobody's: it takes the lock itself
    with claim(lock):
        assert child(0) == "True True"
        assert child(1) == "False True"  # further processes have locks of their own


def test_one_that_is_nobodys_child_is_refused(tmp_path: Path) -> None:
    with claim(tmp_path / "lock"), pytest.raises(ServiceError, match="runs a flow"):
        join(tmp_path / "lock")


def test_a_lock_whose_holder_died_tells_of_what_it_started(tmp_path: Path) -> None:
    with claim(tmp_path / "lock"):
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        (tmp_path / "lock").write_text(f"{gone.pid}\n")
        with pytest.raises(ServiceError, match=f"what process {gone.pid} started runs a flow"):
            claim(tmp_path / "lock")


# ---- what the engine was told ----


@pytest.mark.parametrize(
    ("arguments", "env", "expected"),
    [
        (["dataflows.main"], {}, EngineOptions()),
        (["dataflows.main", "-w", "2", "-i", "1", "-r", "a"], {}, EngineOptions(1, Path("a"))),
        (["dataflows.main"], {"BYTEWAX_PROCESS_ID": "2"}, EngineOptions(2)),
        (["x"], {"BYTEWAX_RECOVERY_DIRECTORY": "b"}, EngineOptions(0, Path("b"))),
        (
            ["x"],
            {"BYTEWAX_POD_NAME": "flow-3", "BYTEWAX_STATEFULSET_NAME": "flow"},
            EngineOptions(3),
        ),
        (["x", "-i", "1"], {"BYTEWAX_PROCESS_ID": "2"}, EngineOptions(1)),
    ],
)
def test_the_engines_options_are_read_as_it_reads_them(
    arguments: list[str], env: dict[str, str], expected: EngineOptions
) -> None:
    assert engine_options(arguments, env) == expected


# ---- the heartbeat ----


def test_a_heartbeat_tells_what_passed_through(tmp_path: Path) -> None:
    metrics.CLOCK_SKEW.set(0.0)  # what other flows in this process measured
    pulse, now_us = Pulse(), time.time_ns() // 1000
    plan = Plan(symbols=("BTCUSDT",), clock_us=now_us + 500_000_000)
    pulse.see(
        [
            (SHARD, Frame(SHARD, now_us, "start", 0, plan.model_dump_json())),
            (SHARD, Connected(SHARD, 1, 1, 1)),
            (KEY, GapOpened(KEY, 1, 1, 11, 20)),
            (KEY, trades(1, 10, now_us + 497_000_000)),
            (KEY, Tick(KEY, now_us + 498_000_000)),
        ]
    )
    own = Heartbeat(settings(tmp_path), pulse=pulse)
    own.start()
    first = told(tmp_path)
    assert first["state"] == "starting"
    assert first["pid"] == os.getpid()
    assert first["links"] == {SHARD: 1}
    assert first["rss_bytes"] > 1 << 20
    symbol = first["symbols"][KEY]
    assert (symbol["last_id"], symbol["gaps_open"]) == (10, 1)
    assert 1.9 < symbol["lag_s"] < 60.0  # by the exchange's clock, and by its newest tick

    pulse.turns += 1
    pulse.see([(KEY, trades(11, 20, now_us)), (SHARD, Disconnected(SHARD, 1, 1, 1, "cut", 1))])
    own.beat()
    second = told(tmp_path)
    assert (second["state"], second["beats"]) == ("running", first["beats"] + 1)
    assert (second["links"], second["symbols"][KEY]["gaps_open"]) == ({SHARD: 0}, 0)
    own.end()
    assert told(tmp_path)["state"] == "stopped"


def test_links_that_are_replaced_are_counted_once() -> None:
    pulse = Pulse()
    pulse.see([(SHARD, Connected(SHARD, 1, 1, 1)), (SHARD, Connected(SHARD, 1, 1, 2))])
    assert set(pulse.links[SHARD]) == {1, 2}
    pulse.see([(SHARD, Rotated(SHARD, 1, 1, 2, 1)), (SHARD, Disconnected(SHARD, 1, 1, 1, "", 1))])
    assert set(pulse.links[SHARD]) == {2}


def test_the_first_error_is_told_at_once_and_stays(tmp_path: Path) -> None:
    own = Heartbeat(settings(tmp_path), process=3)
    own.start()

    @telling
    def step(number: int) -> int:
        return 1 // number

    with pytest.raises(ZeroDivisionError):
        step(0)
    FIRST.note(ServiceError("redis", "what came of it"))
    failed = told(tmp_path, 3)
    assert failed["state"] == "failed"
    assert failed["failure"]["exit_code"] == 1
    assert failed["failure"]["text"].startswith("ZeroDivisionError: integer division")
    assert " in step)" in failed["failure"]["text"]


def test_an_error_of_ours_keeps_its_words_and_exit_code(tmp_path: Path) -> None:
    Heartbeat(settings(tmp_path)).start()
    FIRST.note(ServiceError("redis", "refused", hint="ask"))
    assert told(tmp_path)["failure"] == {"text": "redis: refused\nhint: ask", "exit_code": 3}


def test_a_shard_without_symbols_is_not_missed(tmp_path: Path) -> None:
    pulse = Pulse()
    for n, symbols in enumerate((["BTCUSDT"], [])):
        key = f"binance:shard-{n}"
        plan = orjson.dumps({"symbols": symbols}).decode()
        pulse.see([(key, Frame(key, 1, "start", 0, plan)), (key, Connected(key, 1, 1, 1))])
        pulse.see([(key, Disconnected(key, 1, 2, 1, "cut", 1))])
    assert Heartbeat(settings(tmp_path), pulse=pulse).account()["links"] == {"binance:shard-0": 0}
