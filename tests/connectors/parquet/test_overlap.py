"""What happens when rows are there already; the table in `connectors.parquet.overlap`."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from connectors.parquet.config import LakeConfig
from connectors.parquet.writer import LakeWriter
from core.market.errors import FileError, ServiceError
from core.market.events import Stale
from core.market.trades import Trades

MakeTrades = Callable[..., Trades]


@pytest.fixture
def store(tmp_path: Path, trades: MakeTrades) -> Callable[..., dict[int, list[int]]]:
    """Return a function that stores ids in one file and says what files then hold."""

    def run(*wanted: int, scales: tuple[int, int] = (2, 5)) -> dict[int, list[int]]:
        writer = LakeWriter(LakeConfig(path=tmp_path))
        for n in wanted:
            writer.write(trades([(n, n, n)], first=n, scales=scales))
        writer.flush_all()
        return {
            int(p.stem[5:]): pq.ParquetFile(p).read(["id"]).column("id").to_pylist()
            for p in sorted(tmp_path.rglob("*.parquet"))
        }

    return run


Store = Callable[..., dict[int, list[int]]]


def test_the_same_rows_again_change_nothing(store: Store) -> None:
    store(1, 2, 3)
    assert store(1, 2, 3) == {1: [1, 2, 3]}


def test_a_prefix_is_replaced_by_the_longer_file(store: Store) -> None:
    store(1, 2)
    assert store(1, 2, 3, 4) == {1: [1, 2, 3, 4]}


def test_rows_that_are_all_there_are_not_written_again(store: Store) -> None:
    store(1, 2, 3, 4)
    assert store(1, 2) == {1: [1, 2, 3, 4]}
    assert store(2, 3) == {1: [1, 2, 3, 4]}


def test_files_inside_the_new_one_are_replaced_by_it(store: Store) -> None:
    store(1, 2)
    store(3, 4)
    store(9)
    assert store(1, 2, 3, 4, 5) == {1: [1, 2, 3, 4, 5], 9: [9]}


def test_only_the_rows_that_are_not_there_are_written_beside(store: Store) -> None:
    store(4, 5, 6)
    assert store(2, 3, 4, 5) == {2: [2, 3], 4: [4, 5, 6]}
    assert store(5, 6, 7, 8) == {2: [2, 3], 4: [4, 5, 6], 7: [7, 8]}


def test_interleaved_rows_become_one_file(store: Store) -> None:
    store(1, 3, 5)
    assert store(2, 3, 4) == {1: [1, 2, 3, 4, 5]}


def test_interleaved_rows_of_two_scales_meet_at_the_finer(store: Store, tmp_path: Path) -> None:
    store(1, 3, scales=(2, 5))
    assert store(2, scales=(4, 5)) == {1: [1, 2, 3]}

    (path,) = tmp_path.rglob("*.parquet")
    column = pq.ParquetFile(path).read().column("price")
    assert [str(p) for p in column.to_pylist()] == ["0.0100", "0.0002", "0.0300"]


def test_neighbours_are_left_alone(store: Store) -> None:
    store(1, 2)
    store(5, 6)
    assert store(3, 4) == {1: [1, 2], 3: [3, 4], 5: [5, 6]}


def test_aggregates_do_not_mix_with_single_trades(
    store: Store, tmp_path: Path, trades: MakeTrades
) -> None:
    store(100, 101)
    writer = LakeWriter(LakeConfig(path=tmp_path))
    writer.write(trades([(1, 1, 1)], aggregate=True))

    with pytest.raises(ServiceError, match=r"give single trades and aggregates each their own"):
        writer.flush_all()


def test_a_broken_file_in_the_way_is_named(store: Store, tmp_path: Path) -> None:
    store(1, 2)
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(b"PAR1 not really PAR1")

    with pytest.raises(FileError, match=rf"{path.name}: not a readable Parquet file"):
        store(1, 2, 3)


def test_events_with_the_same_position_are_all_kept(tmp_path: Path) -> None:
    def events(*reasons: str) -> None:
        writer = LakeWriter(LakeConfig(path=tmp_path))
        for reason in reasons:
            writer.write(Stale("binance:BTCUSDT", 5, 7, reason))
        writer.flush_all()

    events("a", "b")
    events("b", "c")  # the run before was cut, and went on from an older snapshot
    events("a")

    (path,) = tmp_path.rglob("*.parquet")
    details = pq.ParquetFile(path).read().column("detail").to_pylist()
    assert details == [f'{{"reason":"{r}"}}' for r in "abc"]
