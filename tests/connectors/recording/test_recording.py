import gzip
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq
import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource

from connectors.recording.reader import read_frames, read_lists, shards
from connectors.recording.sink import RecordingSink
from connectors.recording.writer import RecordingWriter, Rotation
from core.market.errors import FileError
from core.market.events import Frame

SHARED = Path(__file__).parents[4] / "shared" / "data" / "ws-spot-2024-08"
KEY = "binance:shard-0"
HOUR_US = 3_600_000_000


class Engine(Protocol):
    def run(self, flow: Dataflow, recovery: Path | None = None) -> None: ...


def frames(n: int, *, key: str = KEY, step_us: int = 1_000, start_us: int = 5) -> list[Frame]:
    return [
        Frame(key, start_us + i * step_us, "frame", i // 10, f'{{"n":{i},"é":"币"}}')
        for i in range(n)
    ]


def write(root: Path, items: list[Frame], rotation: Rotation | None = None) -> RecordingWriter:
    writer = RecordingWriter(root, rotation)
    for frame in items:
        writer.write(frame)
    writer.flush_all()
    return writer


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.parquet")}


def test_frames_come_back_exactly_and_in_order(tmp_path: Path) -> None:
    items = frames(40)
    # Our clock may be set back, and two frames may share a microsecond.
    items[20:22] = [item._replace(received_us=3) for item in items[20:22]]

    write(tmp_path, items, Rotation(rows=7))

    assert list(read_frames(tmp_path)) == items
    assert len(list((tmp_path / "binance" / "shard-0").iterdir())) == 6


def test_a_clock_that_was_set_back_does_not_change_the_order(tmp_path: Path) -> None:
    early, late = frames(5, start_us=10), frames(5, start_us=30 * HOUR_US)

    write(tmp_path, [*late, *early])
    write(tmp_path, early)

    assert list(read_frames(tmp_path)) == [*late, *early, *early]


def test_a_file_is_named_by_the_first_receipt_and_full_by_rows_chars_or_time(
    tmp_path: Path,
) -> None:
    start = 1_723_161_253_937_085
    by_rows = frames(5, start_us=start)
    write(tmp_path / "rows", by_rows, Rotation(rows=3))
    write(tmp_path / "chars", by_rows, Rotation(chars=len(by_rows[0].payload) * 2))
    write(tmp_path / "time", frames(3, start_us=start, step_us=HOUR_US // 2))

    assert sorted(p.name for p in (tmp_path / "rows").rglob("*.parquet")) == [
        f"{start}.parquet",
        f"{start + 3_000}.parquet",
    ]
    assert [len(chunk) for chunk in read_lists(tmp_path / "chars")] == [2, 2, 1]
    assert [len(chunk) for chunk in read_lists(tmp_path / "time")] == [1, 2]


def test_a_file_a_shard_and_a_folder_of_many_are_read_shard_by_shard(tmp_path: Path) -> None:
    other = "binance-usdm:shard-1"
    mixed = [f for pair in zip(frames(6), frames(6, key=other), strict=True) for f in pair]
    write(tmp_path, mixed, Rotation(rows=4))
    found = shards(tmp_path)

    assert list(found) == [other, KEY]
    assert list(read_frames(tmp_path)) == [*frames(6, key=other), *frames(6)]
    assert list(read_frames(tmp_path / "binance")) == frames(6)
    assert list(read_frames(found[KEY][1])) == frames(6)[4:]
    moved = (tmp_path / "binance" / "shard-0").rename(tmp_path / "elsewhere")
    assert list(read_frames(moved)) == frames(6)  # a file names its shard


def test_a_list_is_one_row_group(tmp_path: Path) -> None:
    write(tmp_path, frames(20_000, step_us=1))

    assert [len(chunk) for chunk in read_lists(tmp_path)] == [8192, 8192, 3616]


@pytest.mark.parametrize("cut", [0, 10, 300, -5])
def test_a_torn_file_is_named(tmp_path: Path, cut: int) -> None:
    write(tmp_path, frames(50))
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(FileError, match=rf"{path.name}: not a readable Parquet file"):
        list(read_frames(tmp_path))


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    write(tmp_path, frames(50))
    (path,) = tmp_path.rglob("*.parquet")
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(3)
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(FileError, match=r"not a readable Parquet file"):
        list(read_frames(tmp_path))


def test_other_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file or folder"):
        shards(tmp_path / "nowhere")
    with pytest.raises(FileError, match="holds no recordings"):
        shards(tmp_path)
    write(tmp_path, frames(1))
    (path,) = tmp_path.rglob("*.parquet")
    pq.write_table(pq.read_table(path).drop_columns("link"), path)
    with pytest.raises(FileError, match="not a recording"):
        shards(tmp_path)


def test_frames_of_the_exchange_take_a_fraction_of_their_text(tmp_path: Path) -> None:
    if not SHARED.exists():
        pytest.skip("the recorded data is not here")
    with gzip.open(SHARED / "spot_btcusdt_20240808.gz", "rt") as lines:
        split = [line.rstrip("\n").split(" ", 1) for line in lines][:20_000]
    items = [Frame(KEY, int(ns) // 1000, "frame", 1, text) for ns, text in split]

    write(tmp_path, items)

    size = sum(p.stat().st_size for p in tmp_path.rglob("*.parquet"))
    assert size < 0.2 * sum(len(f.payload) for f in items)
    assert list(read_frames(tmp_path)) == items


def storing(items: list[Any], root: Path) -> Dataflow:
    flow = Dataflow("storing")
    source = op.input("in", flow, TestingSource(items, 3))
    op.output("recording", source, RecordingSink(root, Rotation(rows=7)))
    return flow


def test_the_sink_records_with_one_worker_and_with_two(
    tmp_path: Path, one: Engine, two: Engine
) -> None:
    keys = [f"binance:shard-{n}" for n in range(5)]
    mixed = sorted((f for k in keys for f in frames(30, key=k)), key=lambda f: f.received_us)
    items = [(f.key, f) for f in mixed]

    one.run(storing(items, tmp_path / "one"))
    two.run(storing(items, tmp_path / "two"))

    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert list(read_frames(tmp_path / "two")) == [f for k in keys for f in frames(30, key=k)]


@pytest.mark.parametrize("end", [TestingSource.ABORT, TestingSource.EOF])
def test_a_flow_that_was_killed_or_stopped_and_went_on_records_each_frame_once(
    tmp_path: Path, one: Engine, end: type
) -> None:
    items: list[Any] = [(KEY, f) for f in frames(40)]
    items[10:10] = [end()]
    flow = storing(items, tmp_path / "out")

    for _ in range(2):
        one.run(flow, tmp_path / "recovery")

    assert list(read_frames(tmp_path / "out")) == frames(40)
