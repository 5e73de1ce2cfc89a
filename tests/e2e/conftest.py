"""The whole job on real sockets: a simulated exchange, the flow, the lake."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from connectors.binance.config import BinanceConfig
from connectors.binance.source import BinanceSource
from connectors.parquet.config import LakeConfig
from connectors.parquet.sink import LakeSink
from connectors.recording.reader import read_files, shards
from connectors.recording.sink import RecordingSink
from connectors.recording.source import ReplaySource
from connectors.shutdown import STOP
from core.market.intervals import interval
from dataflows import engine
from dataflows.klines import KlinePlan
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from simulator.local import Simulator
from strategies.spec import InstanceSpec

STRATEGIES = (
    InstanceSpec(name="rsi_reversal", params={"period": 3, "oversold": 40, "overbought": 60}),
    InstanceSpec(name="macd_cross", params={"fast": 2, "slow": 4, "signal": 2}),
    InstanceSpec(name="bollinger_breakout", params={"period": 4, "width": 1.0}),
)


@pytest.fixture(autouse=True)
def _unstopped() -> Iterator[None]:
    STOP.clear()
    yield
    STOP.clear()


@pytest.fixture
def work() -> Work:
    intervals = tuple(interval(name) for name in ("1m", "3m", "5m"))
    return Work(KlinePlan(base=interval("1m"), intervals=intervals), STRATEGIES)


@pytest.fixture
def run_live(work: Work) -> Callable[..., None]:
    """Run the flow on a simulator until its clock has gone on by so many seconds."""

    def run(sim: Simulator, root: Path, symbols: tuple[str, ...], *, seconds: float) -> None:
        config = BinanceConfig(ws_url=sim.ws_url, rest_url=sim.rest_url, backoff_base=0.1)
        source = BinanceSource(config, symbols, audit=("1m",))
        sinks = Outputs(
            {"lake": LakeSink(LakeConfig(path=root / "lake"))}, RecordingSink(root / "recordings")
        )
        left = seconds - (sim.now_us() - sim.start_us) / 1e6
        timer = threading.Timer(left / sim.settings.speed, STOP.set)
        timer.start()
        engine.run(build({"exchange": source}, work, sinks))
        timer.join()
        STOP.clear()

    return run


@pytest.fixture
def run_replay(work: Work) -> Callable[..., None]:
    """Replay recordings into a lake."""

    def run(recordings: Path, lake: Path, *, workers: int = 1) -> None:
        readers = {key: partial(read_files, found) for key, found in shards(recordings).items()}
        sinks = Outputs({"lake": LakeSink(LakeConfig(path=lake))})
        flow = build({"recordings": ReplaySource(readers)}, work, sinks)
        engine.run(flow, workers=workers)

    return run
