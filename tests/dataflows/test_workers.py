"""The same input on one worker, two workers and two processes: the same rows, in order per key."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench.data import trades
from connectors.parquet.config import LakeConfig
from connectors.parquet.writer import LakeWriter
from core.market.trades import Trades

pytestmark = pytest.mark.slow

FLOW = """
import sys
from pathlib import Path
from connectors.parquet.config import LakeConfig
from connectors.parquet.sink import LakeSink
from core.market.intervals import interval
from dataflows.klines import KlinePlan
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from dataflows.replay import inputs_of, look
from strategies.spec import InstanceSpec

source, target = Path({source!r}), Path({target!r})
names = ("rsi_reversal", "macd_cross", "bollinger_breakout")
plan = KlinePlan(interval("1m"), (interval("1m"), interval("15m")))
outputs = Outputs({{"lake": LakeSink(LakeConfig(path=target))}})
work = Work(plan, tuple(InstanceSpec(name=name) for name in names))
flow = build(inputs_of(look([source])), work, outputs)
"""


def free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def run(folder: Path, source: Path, name: str, *options: list[str]) -> Path:
    target = folder / name
    module = folder / f"flow_{name}.py"
    module.write_text(FLOW.format(source=str(source), target=str(target)))
    started = [
        subprocess.Popen([sys.executable, "-m", "bytewax.run", str(module), *extra])
        for extra in options
    ]
    assert [process.wait(120) for process in started] == [0] * len(started)
    return target


def rows(lake: Path, kind: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((lake / kind).rglob("part-*.parquet")):
        key = next(part for part in path.parts if part.startswith("symbol="))
        found.setdefault(key, []).extend(pq.ParquetFile(path).read().to_pylist())
    return {key: sorted(said, key=lambda row: row["seq"]) for key, said in found.items()}


def test_workers_and_processes_change_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    writer = LakeWriter(LakeConfig(path=source))
    for n, symbol in enumerate(("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")):
        for batch in trades(60_000, seed=n, rate=5.0):
            writer.write(Trades(f"binance:{symbol}", *_columns(batch)))
    writer.flush_all()
    a, b = free_ports()
    cluster = f"127.0.0.1:{a};127.0.0.1:{b}"
    lakes = [
        run(tmp_path, source, "one", []),
        run(tmp_path, source, "two", ["-w", "2"]),
        run(tmp_path, source, "cluster", ["-i", "0", "-a", cluster], ["-i", "1", "-a", cluster]),
    ]
    klines = [rows(lake, "klines") for lake in lakes]
    signals = [rows(lake, "signals") for lake in lakes]
    assert len(klines[0]) == 4
    assert all(len(said) > 150 for said in klines[0].values())
    assert sum(map(len, signals[0].values())) > 40
    assert klines[1] == klines[0]
    assert klines[2] == klines[0]
    assert signals[1] == signals[0]
    assert signals[2] == signals[0]


def _columns(batch: Trades) -> tuple[Any, ...]:
    return (
        batch.price_scale, batch.quantity_scale, batch.id, batch.time_us, batch.price,
        batch.quantity, batch.buyer_is_maker,
    )  # fmt: skip
