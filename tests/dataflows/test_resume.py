"""Going on with snapshots of another version: the place is kept, the rest begins anew."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from bytewax.testing import TestingSource

import connectors.parquet.writer
import core.continuity
import core.klines.builder
import strategies.host
from connectors.binance.config import BinanceConfig
from connectors.binance.driver import Driver
from connectors.binance.source import BinanceSource
from connectors.parquet.config import LakeConfig
from connectors.parquet.sink import LakeSink
from core.market.errors import ServiceError, SnapshotError
from core.market.intervals import interval
from core.market.trades import Trades
from dataflows import engine
from dataflows.klines import KlinePlan
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from dataflows.resume import kept, resumed
from dataflows.watched import ResumedSource, resuming
from strategies.spec import InstanceSpec

MINUTE_US = 60_000_000
START_US = 1_767_614_400_000_000
KEY = "binance:BTCUSDT"


def batch(first: int, rows: int = 100) -> Trades:
    ids = np.arange(first, first + rows, dtype=np.int64)
    return Trades(
        key=KEY, price_scale=2, quantity_scale=3, id=ids, time_us=START_US + ids * 2_000_000,
        price=10_000 + ids % 17, quantity=ids % 5 + 1, buyer_is_maker=ids % 2 == 0,
    )  # fmt: skip


def items() -> list[Any]:
    batches = [(KEY, batch(first)) for first in range(0, 1000, 100)]
    return [*batches[:5], TestingSource.EOF(), *batches[5:]]


def run(root: Path) -> None:
    plan = KlinePlan(interval("1m"), (interval("1m"), interval("5m")))
    work = Work(plan, (InstanceSpec(name="macd_cross", params={"fast": 2, "slow": 4}),))
    outputs = resuming(Outputs({"lake": LakeSink(LakeConfig(path=root / "lake"))}))
    flow = build({"exchange": TestingSource(items())}, work, outputs)
    engine.run(flow, recovery=root / "recovery", snapshot_every=timedelta(0))


def stored(root: Path, kind: str) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted((root / "lake" / kind).rglob("part-*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]


OLD: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "normalize": lambda patch: patch.setattr(core.continuity, "_VERSION", "continuity-0"),
    "klines": lambda patch: patch.setattr(core.klines.builder, "_VERSION", "klines-0"),
    "strategies": lambda patch: patch.setattr(strategies.host, "_HEAD", ("strategy_host", 0)),
    "lake-": lambda patch: patch.setattr(connectors.parquet.writer, "VERSION", 0),
}


@pytest.mark.parametrize("step", OLD)
def test_a_step_that_cannot_read_its_state_begins_anew_and_no_trade_is_lost(
    tmp_path: Path, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        OLD[step](patch)
        run(tmp_path)
    with caplog.at_level("WARNING", logger="cryptotools.recovery"):
        run(tmp_path)
    said = [r.getMessage() for r in caplog.records if r.name == "cryptotools.recovery"]
    assert said
    assert all(line.startswith(step) and "begins anew" in line for line in said)
    assert [row["id"] for row in stored(tmp_path, "trades")] == list(range(1000))
    klines = [row for row in stored(tmp_path, "klines") if row["interval"] == "1m"]
    incomplete = {row["open_time"].minute for row in klines if not row["complete"]}
    # 500 trades, one each two seconds, end in minute 16: klines that begin anew lack its start.
    assert incomplete == ({0, 16} if step == "klines" else {0})


def test_a_state_that_can_be_read_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path)
    run(tmp_path)
    assert not [r for r in caplog.records if r.name == "cryptotools.recovery"]
    assert [row["id"] for row in stored(tmp_path, "trades")] == list(range(1000))


def test_only_a_snapshot_of_another_version_is_forgiven() -> None:
    def build(state: object) -> object:
        if state == "old":
            raise SnapshotError("it", "old", "new")
        if state == "broken":
            raise ServiceError("disk", "gone")
        return state

    own = resumed("step", build)
    assert own("good") == "good"
    assert own("old") is None
    with pytest.raises(ServiceError):
        own("broken")


@pytest.fixture
def unstarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Driver, "start", lambda _driver: None)


@pytest.mark.usefixtures("unstarted")
def test_a_source_keeps_its_next_ids_whatever_else_its_snapshot_holds() -> None:
    source = ResumedSource(BinanceSource(BinanceConfig(), ("BTCUSDT",)))
    newer = {"next_ids": {"BTCUSDT": 77}, "scales": {"BTCUSDT": [2, 99]}, "invented": 1}
    part = source.build_part("exchange", "shard-00", newer)
    assert part.snapshot()["next_ids"] == {"BTCUSDT": 77}
    with pytest.raises(SnapshotError, match="next ids by symbol"):
        source.build_part("exchange", "shard-00", {"invented": 1})


def test_ids_that_are_none_are_refused() -> None:
    with pytest.raises(SnapshotError, match="next_ids"):
        kept({"next_ids": {"BTCUSDT": "soon"}})
