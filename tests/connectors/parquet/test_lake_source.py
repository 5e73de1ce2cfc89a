from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.parquet import source
from connectors.parquet.config import LakeConfig
from connectors.parquet.reader import Position, Range, trade_parts
from connectors.parquet.source import LakePartition, LakeSource
from connectors.parquet.writer import LakeWriter
from connectors.shutdown import STOP
from core.market.errors import FileError
from core.market.trades import Trades
from telemetry.progress import Progress

MakeTrades = Callable[..., Trades]
KEY = "binance:BTCUSDT"


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def lake(tmp_path: Path, trades: MakeTrades) -> Path:
    writer = LakeWriter(LakeConfig(path=tmp_path, rotate_rows=4))
    writer.write(trades([(10_000_000 + n * 1_000_000, 1, 1) for n in range(10)]))
    writer.write(trades([(1, 1, 1)], key="binance:ETHUSDT"))
    writer.flush_all()
    return tmp_path


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> Progress:
    fresh = Progress()
    monkeypatch.setattr(source, "PROGRESS", fresh)
    return fresh


@pytest.fixture
def _stopped() -> Iterator[None]:
    STOP.set()
    yield
    STOP.clear()


def drain(part: LakePartition) -> list[int]:
    found: list[int] = []
    try:
        while True:
            found += due(part)
    except StopIteration:
        return found


def due(part: LakePartition) -> list[int]:
    items = part.next_batch()
    return [n for _, item in items if isinstance(item, Trades) for n in item.id.tolist()]


def test_there_is_one_partition_per_instrument(lake: Path) -> None:
    assert LakeSource(lake).list_parts() == [KEY, "binance:ETHUSDT"]
    assert LakeSource(lake, symbols=["ETHUSDT"]).list_parts() == ["binance:ETHUSDT"]


def test_all_rows_come_in_order_and_the_progress_ends_at_the_whole(
    lake: Path, progress: Progress
) -> None:
    part = LakeSource(lake, symbols=["BTCUSDT"]).build_part("", KEY, None)
    sizes = [p.stat().st_size for p in lake.rglob("symbol=BTCUSDT/**/*.parquet")]
    assert (progress.total_bytes, progress.done_bytes) == (sum(sizes), 0)

    part.next_batch()
    part.next_batch()
    assert 0 < progress.done_bytes < progress.total_bytes

    assert drain(part) == [108, 109]
    assert (progress.done_bytes, progress.rows) == (sum(sizes), 10)


def test_a_snapshot_goes_on_behind_the_last_row(lake: Path, progress: Progress) -> None:
    whole = LakeSource(lake).build_part("", KEY, None)
    seen: list[int] = []
    for _ in range(3):
        resumed = LakeSource(lake).build_part("", KEY, whole.snapshot())
        assert seen + drain(resumed) == list(range(100, 110))
        seen += due(whole)


def test_at_a_speed_rows_come_when_they_are_due(lake: Path, progress: Progress) -> None:
    clock = Clock()
    (parts,) = trade_parts(lake, [KEY], Range()).values()
    part = LakePartition(KEY, parts, Range(), Position(), speed=2.0, clock=clock)
    start = clock.now

    assert due(part) == [100]
    assert part.next_awake() == start + timedelta(seconds=0.5)
    assert due(part) == []
    assert part.snapshot() == ("1970-01-01", 101)
    clock.now = start + timedelta(seconds=1.2)
    assert due(part) == [101, 102]
    assert part.next_awake() == start + timedelta(seconds=1.5)
    clock.now = start + timedelta(seconds=60)
    assert due(part) == [103]
    assert part.next_awake() is None
    assert drain(part) == [104, 105, 106, 107, 108, 109]


def test_a_wait_for_the_next_row_ends_soon_enough_to_be_stopped(
    lake: Path, progress: Progress
) -> None:
    clock = Clock()
    (parts,) = trade_parts(lake, [KEY], Range()).values()
    part = LakePartition(KEY, parts, Range(), Position(), speed=0.001, clock=clock)

    assert due(part) == [100]
    assert part.next_awake() == clock.now + timedelta(seconds=1)
    assert due(part) == []


@pytest.mark.usefixtures("_stopped")
def test_the_stop_flag_ends_it(lake: Path, progress: Progress) -> None:
    part = LakeSource(lake).build_part("", KEY, None)

    with pytest.raises(StopIteration):
        part.next_batch()


def test_a_lake_without_such_trades_is_an_error(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="holds no trades of SOLUSDT"):
        LakeSource(lake, symbols=["SOLUSDT"])
    with pytest.raises(FileError, match="no such file or folder"):
        LakeSource(tmp_path / "nowhere")
