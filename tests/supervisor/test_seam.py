"""Instances added while the connection is down, and killed with it: they say what those from the
start say.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.redis.control import Sender
from connectors.redis.embedded import running
from core.control import InstanceCommand
from simulator.faults import read_fault
from simulator.local import Simulator
from simulator.scenarios import scenario
from strategies.registry import BUILT_IN, REGISTRY
from strategies.spec import InstanceSpec
from tests.strategies.test_strategy_contract import CASES
from tests.supervisor.conftest import SYMBOLS, Job, lake_rows, micros, until

pytestmark = pytest.mark.slow

Make = Callable[..., Job]
NAMES = [s.name for s in BUILT_IN if s.name != "ml"]  # which says nothing without a model
_SPEED = 40.0
_CUT_S = 300
"""Seconds of the market until the connection is cut, and how long it stays so."""


def spec(name: str, instance: str) -> InstanceSpec:
    return InstanceSpec(name=name, instance=instance, interval="1s", params=CASES[name][0])


def said(lake: Path, symbol: str, instance: str) -> list[tuple[int, Any, Any, Any]]:
    return [
        (micros(row["time"]), row["side"], row["reason"], row["values"])
        for row in lake_rows(lake, "signals", symbol)
        if row["instance"] == instance
    ]


@pytest.fixture
def cut() -> Any:  # noqa: ANN401 - a generator
    calm = scenario("calm").settings
    faults = (read_fault("drop@after=300s"), read_fault("refuse@after=300s,for=300s"))
    with Simulator(calm.model_copy(update={"speed": _SPEED, "faults": faults})) as sim:
        yield sim


def test_added_while_cut_off_and_killed_they_say_what_those_from_the_start_say(
    job: Make, cut: Simulator
) -> None:
    specs = [spec(name, f"{name}-early").model_dump(mode="json") for name in NAMES]
    own = job(cut, RECORDING__PATH="recordings", KLINES__BASE="1s", KLINES__INTERVALS="1s,1m",
              STRATEGIES=json.dumps(specs))  # fmt: skip
    up = own.start("up")
    before = own.well()
    until(lambda: 0 in own.status()["links"].values(), 60, "the cut")
    server = running(own.folder / "state" / "redis")
    assert server is not None
    sender = Sender(server.url)
    for name in NAMES:
        body = spec(name, f"{name}-late").model_dump(mode="json", exclude={"instance"})
        command = InstanceCommand(id=name, action="add", instance=f"{name}-late", spec=body)
        (outcome,) = sender.send(command, {"shard-0"}, 30)
        assert outcome.state == "accepted", outcome
    assert 0 in own.status()["links"].values()
    sender.close()
    added_us = cut.now_us()
    assert added_us < cut.start_us + 2 * _CUT_S * 1_000_000

    own.well(60)
    marks = own.status()["processes"]["0"]["snapshots"]
    until(lambda: own.status()["processes"]["0"]["snapshots"] > marks + 3, 30, "a snapshot")
    os.kill(before["processes"]["0"]["pid"], signal.SIGKILL)
    own.well(60, restarts=1)
    end_us = cut.now_us() + 120_000_000
    while cut.now_us() < end_us:
        time.sleep(0.1)
    assert own.end(up) == 0

    lake = own.folder / "lake"
    for name in NAMES:
        converged = REGISTRY.make(spec(name, name)).convergence
        compared = 0
        for symbol in SYMBOLS:
            early, late = (said(lake, symbol, f"{name}-{which}") for which in ("early", "late"))
            from_us = max(added_us, early_start(lake, symbol) + converged * 1_000_000)
            early, late = ([s for s in rows if s[0] > from_us] for rows in (early, late))
            assert late == early, (name, symbol)
            compared += len(late)
        assert compared, name


def early_start(lake: Path, symbol: str) -> int:
    rows = lake_rows(lake, "klines", symbol, interval="1s")
    return min(micros(row["open_time"]) for row in rows)
