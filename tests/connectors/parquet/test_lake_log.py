"""The lake's log: crashes, full disks, fresh starts, readers beside a writer."""

import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.arrowlog.files import log_folder
from connectors.arrowlog.journal import Journal
from connectors.arrowlog.log import segments
from connectors.parquet.config import LakeConfig
from connectors.parquet.reader import read_klines, read_trades
from connectors.parquet.sink import LakeSink
from connectors.parquet.writer import LakeWriter
from connectors.shutdown import FAILED
from core.market.errors import ServiceError, SnapshotError
from core.market.events import Gap
from core.market.intervals import INTERVALS
from core.market.kline import Kline
from core.market.trades import Trades, concat

MakeTrades = Callable[..., Trades]
Files = Callable[[Path], dict[str, bytes]]

HOUR_US = 3_600_000_000
KEYS = ("binance:BTCUSDT", "binance:ETHUSDT")


def kline(n: int, key: str = KEYS[0], interval: str = "1m") -> Kline:
    return Kline(
        key=key, interval=INTERVALS[interval], open_us=n * HOUR_US // 3,
        close_us=n * HOUR_US // 3 + 59_999_999, price_scale=2, quantity_scale=5,
        open_units=6183763, high_units=6183764, low_units=6183000, close_units=6183100,
        volume_units=154698, quote_volume_units=956639000000, trades=12,
        taker_buy_volume_units=7, taker_buy_quote_volume_units=43286341,
        first_id=3, last_id=14, seq=n * 1000,
    )  # fmt: skip


def opened(path: Path, **options: Any) -> Journal:  # noqa: ANN401 - any of its options
    return Journal(log_folder(path, "lake-00"), service="lake", **options)


def begun(path: Path, run: str = "aa", **changes: Any) -> tuple[LakeWriter, Journal]:  # noqa: ANN401 - any of its fields
    journal = opened(path)
    writer = LakeWriter(LakeConfig(path=path, **changes), journal)
    writer.begin(run)
    return writer, journal


def ids(path: Path, **options: Any) -> list[int]:  # noqa: ANN401 - any of its options
    return [int(n) for _, batch in read_trades(path, **options) for n in batch.id]


ITEMS = st.lists(
    st.tuples(
        st.sampled_from(["trades", "trades", "trades", "kline", "gap"]),
        st.sampled_from(KEYS),
        st.sampled_from([0, 1, 7, HOUR_US // 2, HOUR_US]),
        st.integers(1, 9),
        st.sampled_from([(2, 3)] * 5 + [(1, 3), (2, 5), (4, 9)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)
LIVES = st.lists(
    st.tuples(
        st.integers(0, 15),
        st.frozensets(st.integers(0, 15), max_size=4),
        st.booleans(),
        st.integers(0, 1),
        st.floats(0, 1),
        st.sampled_from([b"", b"torn", bytes(100), b"CTL\x01\x00\x00\x00\x00"]),
    ),
    max_size=4,
)


def items_of(rows: list[Any], make: MakeTrades) -> list[Any]:
    items: list[Any] = []
    now, n, ids = 0, 0, dict.fromkeys(KEYS, 100)
    for what, key, step, count, scales, repaired in rows:
        now, n = now + step, n + 1
        if what == "kline":
            items.append(kline(n, key, "1m" if count < 6 else "5m"))
        elif what == "gap":
            items.append(Gap(key, now, n, first_id=3, last_id=4, reason="404"))
        else:
            batch = [(now, count + i, 7) for i in range(count)]
            items.append(make(batch, key=key, first=ids[key], scales=scales, repaired=repaired))
            ids[key] += count
    return items


@settings(max_examples=60, deadline=None)
@given(rows=ITEMS, lives=LIVES, rotate_rows=st.integers(1, 30))
def test_any_crashes_and_stops_give_the_files_of_an_undisturbed_run(
    trades: MakeTrades,
    files: Files,
    living: Callable[..., None],
    a_life: Callable[..., Any],
    rows: list[Any],
    lives: list[Any],
    rotate_rows: int,
) -> None:
    items = items_of(rows, trades)
    with TemporaryDirectory() as name:
        whole, cut = Path(name, "whole"), Path(name, "cut")
        plain = LakeWriter(LakeConfig(path=whole, rotate_rows=rotate_rows))
        for item in items:
            plain.write(item)
        plain.flush_all()

        config = LakeConfig(path=cut, rotate_rows=rotate_rows)
        died = [a_life(*life) for life in lives]
        living(lambda j: LakeWriter(config, j), log_folder(cut, "lake-00"), items, died)

        assert files(cut) == files(whole)


def test_many_rows_in_small_batches_survive_a_kill_to_the_last_append(
    tmp_path: Path, recorded: Trades, files: Files
) -> None:
    pieces = [recorded.take(slice(n, n + 13)) for n in range(0, len(recorded), 13)]
    writer, journal = begun(tmp_path / "cut", rotate_seconds=86_400)
    for piece in pieces:
        writer.write(piece)
    journal.close()  # no snapshot, no word

    found = ids(tmp_path / "cut", pending=True)

    assert found == recorded.id[: len(found)].tolist()
    assert len(found) > len(recorded) - 4096 - 13
    assert ids(tmp_path / "cut") == recorded.id[recorded.time_us < 1_723_161_600_000_000].tolist()


def test_a_fresh_start_makes_files_of_what_a_dead_run_left_and_doubles_nothing(
    tmp_path: Path, trades: MakeTrades
) -> None:
    whole = trades([(n, n, 1) for n in range(60)])
    writer, journal = begun(tmp_path)
    writer.write(whole.take(slice(0, 40)))
    writer.write(kline(1))
    writer.snapshot()
    journal.close()

    writer, journal = begun(tmp_path, "bb")
    assert ids(tmp_path) == list(range(100, 140))
    assert [k.seq for k in read_klines(tmp_path)] == [1000]
    assert not segments(log_folder(tmp_path, "lake-00"))
    writer.write(whole.take(slice(20, None)))  # a replay would begin anywhere
    writer.write(kline(1))
    writer.flush_all()
    journal.close()

    assert ids(tmp_path) == list(range(100, 160))
    assert [k.seq for k in read_klines(tmp_path)] == [1000]


def test_a_partition_that_began_after_the_snapshot_begins_again(
    tmp_path: Path, trades: MakeTrades
) -> None:
    writer, journal = begun(tmp_path, rotate_rows=3)
    writer.write(trades([(n, 1, 1) for n in range(5)]))
    journal.close()

    _, journal = begun(tmp_path, rotate_rows=3)  # the run that another partition's snapshot tells

    assert ids(tmp_path, pending=True) == []
    journal.close()


def test_a_file_made_after_the_snapshot_is_cut_back_and_one_made_at_a_stop_stays(
    tmp_path: Path, trades: MakeTrades, files: Files
) -> None:
    writer, journal = begun(tmp_path)
    writer.write(trades([(n, 1, 1) for n in range(5)]))
    at_five = writer.snapshot()
    writer.write(trades([(n, 1, 1) for n in range(5, 9)], first=105))
    at_nine = writer.snapshot()
    writer.flush_all()
    journal.close()
    stopped = files(tmp_path)

    journal = opened(tmp_path)
    LakeWriter(LakeConfig(path=tmp_path), journal).restore(at_nine)
    assert files(tmp_path) == stopped
    journal.close()

    journal = opened(tmp_path)
    writer = LakeWriter(LakeConfig(path=tmp_path), journal)
    writer.restore(at_five)
    assert ids(tmp_path) == list(range(100, 105))
    # What comes now need not be what came then: the exchange did not have these any more.
    writer.write(trades([(9, 1, 1)], first=109))
    writer.flush_all()
    journal.close()
    assert ids(tmp_path) == [*range(100, 105), 109]


def test_a_file_made_at_a_stop_and_then_again_is_cut_back_too(
    tmp_path: Path, trades: MakeTrades
) -> None:
    def resumed(snapshot: Any) -> tuple[LakeWriter, Journal]:  # noqa: ANN401 - of the writer
        journal = opened(tmp_path)
        writer = LakeWriter(LakeConfig(path=tmp_path), journal)
        writer.restore(snapshot)
        return writer, journal

    writer, journal = begun(tmp_path)
    writer.write(trades([(n, 1, 1) for n in range(5)]))
    at_five = writer.snapshot()
    writer.flush_all()
    journal.close()
    for _ in range(2):  # the first file is the name's own in every later run
        writer, journal = resumed(at_five)
        writer.write(trades([(5, 1, 1)], first=105))
        at_six = writer.snapshot()
        journal.close()
        writer, journal = resumed(at_six)
        writer.write(trades([(6, 1, 1)], first=106))
        writer.flush_all()
        journal.close()
        assert ids(tmp_path) == list(range(100, 107))

        _, journal = resumed(at_six)
        assert ids(tmp_path) == list(range(100, 106))
        journal.close()


def test_a_snapshot_is_small_and_remembers_the_finest_scale(
    tmp_path: Path, trades: MakeTrades
) -> None:
    writer, journal = begun(tmp_path, rotate_rows=1)
    writer.write(trades([(1, 1, 1)], scales=(3, 4)))
    snapshot = writer.snapshot()
    journal.close()
    journal = opened(tmp_path)
    second = LakeWriter(LakeConfig(path=tmp_path), journal)
    second.restore(snapshot)
    second.write(trades([(2, 1, 1)], first=101, scales=(2, 5)))
    second.flush_all()

    assert snapshot["scales"] == {KEYS[0]: (3, 4)}
    assert snapshot["log"]["rows"] == 0
    assert [b.price_scale for _, b in read_trades(tmp_path)] == [3, 3]


def test_a_snapshot_of_another_version_is_refused(tmp_path: Path) -> None:
    writer, _ = begun(tmp_path)
    snapshot = writer.snapshot()
    snapshot["version"] = 1

    with pytest.raises(SnapshotError, match=r"lake's writer is `version 1`, expected `version 2`"):
        writer.restore(snapshot)


def test_a_writer_without_a_log_has_no_snapshots(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no snapshots"):
        LakeWriter(LakeConfig(path=tmp_path)).snapshot()


def test_a_second_flow_on_the_same_lake_is_refused(tmp_path: Path) -> None:
    sink = LakeSink(LakeConfig(path=tmp_path))
    part = sink.build_part("lake", "lake-00", None)
    with pytest.raises(ServiceError, match="another process writes"):
        LakeSink(LakeConfig(path=tmp_path)).build_part("lake", "lake-00", None)
    part.close()


@pytest.mark.parametrize("resumable", [True, False])
def test_a_clean_end_keeps_the_log_only_for_those_who_may_go_on(
    tmp_path: Path, trades: MakeTrades, *, resumable: bool
) -> None:
    part = LakeSink(LakeConfig(path=tmp_path), resumable=resumable).build_part(
        "lake", "lake-00", None
    )
    part.write_batch([trades([(1, 1, 1)])])
    part.snapshot()
    part.close()

    assert ids(tmp_path) == [100]
    assert bool(segments(log_folder(tmp_path, "lake-00"))) is resumable


def _limited(size: int, action: Callable[[], object]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(ServiceError, match="hint: free some space"):
            action()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("when", ["snapshot", "append", "rotation"])
def test_after_a_full_disk_a_resumed_run_goes_on_without_loss(
    tmp_path: Path, recorded: Trades, files: Files, when: str
) -> None:
    pieces = [recorded.take(slice(n, n + 100)) for n in range(0, len(recorded), 100)]
    plain = LakeWriter(LakeConfig(path=tmp_path / "whole"))
    for piece in pieces:
        plain.write(piece)
    plain.flush_all()
    cut = tmp_path / "cut"
    writer, journal = begun(cut)
    for piece in pieces[:20]:
        writer.write(piece)
    snapshot = writer.snapshot()

    def snapshot_again() -> None:
        writer.write(pieces[20])
        writer.snapshot()

    def append() -> None:
        for piece in pieces[20:]:
            writer.write(piece)

    size = sum(s.path.stat().st_size for s in segments(log_folder(cut, "lake-00")))
    actions = {"snapshot": snapshot_again, "append": append, "rotation": writer.flush_all}
    _limited(size + 150, actions[when])
    assert not list(cut.rglob("*.tmp"))
    assert len(ids(cut, pending=True)) >= 2000
    journal.close()

    journal = opened(cut)
    again = LakeWriter(LakeConfig(path=cut), journal)
    again.restore(snapshot)
    for piece in pieces[20:]:
        again.write(piece)
    again.flush_all()
    journal.close()
    assert files(cut) == files(tmp_path / "whole")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True)
    except OSError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("mounting is not allowed")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("left", [0, 4096, 12_288, 40_960])
def test_a_flow_whose_disk_was_full_goes_on_from_its_snapshot(
    tmp_path: Path, small_disk: Path, recorded: Trades, files: Files, left: int
) -> None:
    pieces = [recorded.take(slice(n, n + 100)) for n in range(0, len(recorded), 100)]
    whole, config = tmp_path / "whole", LakeConfig(path=small_disk, rotate_rows=3_000)
    plain = LakeWriter(LakeConfig(path=whole, rotate_rows=3_000))
    for piece in pieces:
        plain.write(piece)
    plain.flush_all()
    part = LakeSink(config).build_part("lake", "lake-00", None)
    part.write_batch(pieces[:35])
    snapshot = part.snapshot()
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(bytes(max(0, free - left)))

    def fill() -> None:
        for piece in pieces[35:]:
            part.write_batch([piece])
            part.snapshot()

    FAILED.clear()
    with pytest.raises(ServiceError, match=r"No space left on device\nhint: free some space"):
        fill()
    part.close()  # a second error would abort the process
    FAILED.clear()
    assert not list(small_disk.rglob("*.tmp"))
    assert ids(small_disk, pending=True)[:3500] == recorded.id[:3500].tolist()

    (small_disk / "filler").unlink()
    part = LakeSink(config).build_part("lake", "lake-00", snapshot)
    part.write_batch(pieces[35:])
    part.close()
    assert files(small_disk) == files(whole)


def test_a_reader_beside_a_writer_sees_every_row_once_and_in_order(
    tmp_path: Path, trades: MakeTrades
) -> None:
    rows, size = 30_000, 50
    whole = trades([(n, n, 1) for n in range(rows)])
    writer, journal = begun(tmp_path, rotate_rows=1_700)
    least: list[int] = [0]

    def write() -> None:
        for start in range(0, rows, size):
            writer.write(whole.take(slice(start, start + size)))
            if start % 500 == 0:
                writer.snapshot()
                least[0] = start + size

    thread = threading.Thread(target=write)
    thread.start()
    looks = 0
    while thread.is_alive():
        before = least[0]
        if before:
            found = ids(tmp_path, pending=True)
            assert found == list(range(100, 100 + len(found)))
            assert len(found) >= before
            looks += 1
    thread.join()
    writer.snapshot()
    assert looks
    assert ids(tmp_path, pending=True) == list(range(100, 100 + rows))
    assert len(ids(tmp_path)) == rows // 1_700 * 1_700
    journal.close()


def test_a_reader_of_a_folder_or_a_day_sees_that_folders_pending_rows(
    tmp_path: Path, trades: MakeTrades
) -> None:
    writer, journal = begun(tmp_path)
    for n, key in enumerate(KEYS):
        writer.write(trades([(24 * HOUR_US * n, 5, 1)], key=key, first=n))
        writer.write(kline(n, key))
    writer.snapshot()

    assert ids(tmp_path) == []
    assert ids(tmp_path, pending=True) == [0, 1]
    assert ids(tmp_path, symbols=["ETHUSDT"], pending=True) == [1]
    place = tmp_path / "trades" / "exchange=binance" / "symbol=BTCUSDT"
    place.mkdir(parents=True)
    assert ids(place, pending=True) == [0]
    assert [k.key for k in read_klines(tmp_path, ["BTCUSDT"], pending=True)] == [KEYS[0]]
    assert list(read_klines(tmp_path)) == []
    journal.close()


def test_pending_klines_that_reached_a_file_meanwhile_come_once(tmp_path: Path) -> None:
    writer, journal = begun(tmp_path)
    for n in range(3):
        writer.write(kline(n))
    writer.snapshot()
    copied = tmp_path / "copied"
    writer.flush_all()
    # A log as it was read before the file was there.
    shutil.copytree(log_folder(tmp_path, "lake-00"), copied)
    (segment,) = segments(copied)
    data = segment.path.read_bytes()
    segment.path.write_bytes(data[: data.index(b'{"closing"') - 16])
    shutil.copytree(copied, log_folder(tmp_path, "lake-01"))

    assert [k.seq for k in read_klines(tmp_path, pending=True)] == [0, 1000, 2000]
    journal.close()


def test_rows_of_many_open_files_share_a_frame(tmp_path: Path, trades: MakeTrades) -> None:
    writer, journal = begun(tmp_path)
    for n in range(300):
        writer.write(trades([(1, 1, 1)], key=f"binance:S{n}", first=5))
        writer.write(kline(1, f"binance:S{n}"))
    writer.snapshot()

    (segment,) = segments(log_folder(tmp_path, "lake-00"))
    assert segment.path.read_bytes().count(b"CTL\x01") <= 4
    assert len(ids(tmp_path, pending=True)) == 300
    journal.close()


def test_a_bulk_of_rows_reaches_a_file_before_the_log(tmp_path: Path) -> None:
    n = np.arange(200_000)
    bulk = Trades(KEYS[0], 2, 5, n, n, n % 997, n % 89, n % 3 == 0)
    writer, journal = begun(tmp_path, rotate_rows=150_000)

    for start in range(0, 200_000, 50_000):
        writer.write(bulk.take(slice(start, start + 50_000)))

    size = sum(s.path.stat().st_size for s in segments(log_folder(tmp_path, "lake-00")))
    assert size < 1000
    writer.snapshot()
    assert concat([b for _, b in read_trades(tmp_path, pending=True)]).rows() == bulk.rows()
    journal.close()
