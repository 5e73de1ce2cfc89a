"""The sink and the source inside the engine: one worker, two, and after a crash."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource

from connectors.parquet.config import LakeConfig
from connectors.parquet.reader import read_trades
from connectors.parquet.sink import LakeSink
from connectors.parquet.source import LakeSource
from core.market.events import Tick
from core.market.trades import Trades, concat

MakeTrades = Callable[..., Trades]


class Engine(Protocol):
    def run(self, flow: Dataflow, recovery: Path | None = None) -> None: ...


KEYS = ("binance:BTCUSDT", "binance:ETHUSDT", "binance:SOLUSDT")


def items_of(make: MakeTrades, rows: int = 40) -> list[tuple[str, Any]]:
    singles = [
        (key, make([(n * 600_000_000, n + 1, 7)], key=key, first=n))
        for n in range(rows)
        for key in KEYS
    ]
    return [*singles, (KEYS[0], Tick(KEYS[0], 5))]


def storing(items: list[Any], config: LakeConfig) -> Dataflow:
    flow = Dataflow("storing")
    op.output("lake", op.input("in", flow, TestingSource(items, 3)), LakeSink(config))
    return flow


@pytest.mark.parametrize("workers", ["one", "two"])
def test_what_flows_into_the_sink_flows_out_of_the_source(
    tmp_path: Path, trades: MakeTrades, workers: str, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(workers)
    items = items_of(trades)
    engine.run(storing(items, LakeConfig(path=tmp_path)))

    out: list[tuple[str, Any]] = []
    flow = Dataflow("reading")
    op.output("out", op.input("lake", flow, LakeSource(tmp_path)), TestingSink(out))
    engine.run(flow)

    for key in KEYS:
        got = concat([batch for k, batch in out if k == key])
        assert got.rows() == concat([t for k, t in items[:-1] if k == key]).rows()


def test_one_worker_and_two_write_the_same_files(
    tmp_path: Path,
    trades: MakeTrades,
    files: Callable[[Path], dict[str, bytes]],
    one: Engine,
    two: Engine,
) -> None:
    for name, engine in (("one", one), ("two", two)):
        engine.run(storing(items_of(trades), LakeConfig(path=tmp_path / name)))

    assert len(files(tmp_path / "one")) == 3 * 7
    assert files(tmp_path / "one") == files(tmp_path / "two")


@pytest.mark.parametrize("end", [TestingSource.ABORT, TestingSource.EOF])
def test_a_run_that_was_cut_and_went_on_writes_the_files_of_one_that_was_not(
    tmp_path: Path,
    trades: MakeTrades,
    files: Callable[[Path], dict[str, bytes]],
    one: Engine,
    end: type,
) -> None:
    items = items_of(trades)
    whole, cut = LakeConfig(path=tmp_path / "whole"), LakeConfig(path=tmp_path / "cut")
    one.run(storing(items, whole))

    flow = storing([*items[:50], end(), *items[50:]], cut)
    for _ in range(2):
        one.run(flow, tmp_path / "recovery")

    assert files(cut.path) == files(whole.path)


_VICTIM = """
import os, signal, sys
from pathlib import Path
import numpy as np
from connectors.parquet.config import LakeConfig
from connectors.parquet.writer import LakeWriter
from core.market.trades import Trades

root, owner, name, call = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
calls, where = 0, {"os": os, "Path": Path}[owner]
real = getattr(where, name)

def dying(first, *rest):
    global calls
    calls += 1
    if calls == call:
        if name == "write":
            real(first, rest[0][: len(rest[0]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return real(first, *rest)

setattr(where, name, dying)
writer = LakeWriter(LakeConfig(path=root, rotate_rows=500))
for first in range(0, 3_400, 170):
    n = np.arange(first, first + 170)
    writer.write(Trades("binance:BTCUSDT", 2, 5, n, n * 7, n * n % 997, n % 89, n % 3 == 0))
writer.flush_all()
"""


def _victim(root: Path, *death: object) -> int:
    command = [sys.executable, "-c", _VICTIM, str(root), *map(str, death)]
    return subprocess.run(command, check=False, timeout=60).returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    "death", [("os", "write", 4), ("os", "fsync", 8), ("Path", "replace", 4), ("os", "open", 12)]
)
def test_a_writer_killed_anywhere_leaves_whole_files_and_what_a_new_one_cleans(
    tmp_path: Path,
    trades: MakeTrades,
    files: Callable[[Path], dict[str, bytes]],
    one: Engine,
    death: tuple[object, ...],
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert _victim(whole, "os", "write", -1) == 0

    assert _victim(killed, *death) == -signal.SIGKILL

    visible = files(killed)
    assert 0 < len(visible) < len(files(whole)) == 7
    assert visible.items() <= files(whole).items()
    assert sum(len(b) for _, b in read_trades(killed)) == 500 * len(visible)
    assert bool(list(killed.rglob(".*.tmp"))) is (death[1] != "open")

    one.run(storing(items_of(trades)[-1:], LakeConfig(path=killed)))
    assert not list(killed.rglob("*.tmp"))
    assert _victim(killed, "os", "write", -1) == 0
    assert files(killed) == files(whole)
