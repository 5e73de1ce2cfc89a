"""The recording's log: crashes, fresh starts, readers beside a writer."""

import resource
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.arrowlog.files import log_folder
from connectors.arrowlog.journal import Journal
from connectors.arrowlog.log import segments
from connectors.recording.reader import read_frames, shards
from connectors.recording.writer import RecordingWriter, Rotation
from core.market.errors import FileError, ServiceError, SnapshotError
from core.market.events import Frame

KEYS = ("binance:shard-0", "binance:shard-1")
KEY = KEYS[0]
HOUR_US = 3_600_000_000


def frames(n: int, *, key: str = KEY, start_us: int = 5) -> list[Frame]:
    return [Frame(key, start_us + i * 1000, "frame", i // 10, f'{{"n":{i}}}') for i in range(n)]


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.parquet")}


def opened(root: Path) -> Journal:
    return Journal(log_folder(root, "recording-00"), service="recording")


def begun(
    root: Path, rotation: Rotation | None = None, run: str = "aa"
) -> tuple[RecordingWriter, Journal]:
    journal = opened(root)
    writer = RecordingWriter(root, rotation, journal)
    writer.begin(run)
    return writer, journal


def feed(writer: RecordingWriter, items: list[Frame]) -> None:
    for frame in items:
        writer.write(frame)


LIVES = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.frozensets(st.integers(0, 20), max_size=4),
        st.booleans(),
        st.integers(0, 1),
        st.floats(0, 1),
        st.sampled_from([b"", b"torn", bytes(100)]),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([-5, 0, 1, HOUR_US // 3]), st.sampled_from(KEYS)),
        min_size=1,
        max_size=50,
    ),
    lives=LIVES,
    rows=st.integers(1, 9),
    chars=st.integers(5, 200),
)
def test_any_crashes_and_stops_give_the_files_of_an_undisturbed_run(
    living: Callable[..., None],
    a_life: Callable[..., Any],
    steps: list[tuple[int, str]],
    lives: list[Any],
    rows: int,
    chars: int,
) -> None:
    now, items = HOUR_US, []
    for n, (step, key) in enumerate(steps):
        now += step
        items.append(Frame(key, now, "frame", 0, f"{n} é"))
    rotation = Rotation(rows=rows, chars=chars)
    with TemporaryDirectory() as name:
        whole, cut = Path(name, "whole"), Path(name, "cut")
        plain = RecordingWriter(whole, rotation)
        feed(plain, items)
        plain.flush_all()

        living(
            lambda j: RecordingWriter(cut, rotation, j),
            log_folder(cut, "recording-00"),
            items,
            [a_life(*life) for life in lives],
        )

        assert files(cut) == files(whole)


def test_frames_behind_the_snapshot_are_dropped_also_from_a_file_that_was_made(
    tmp_path: Path,
) -> None:
    before, lost, after = frames(3), frames(9, start_us=9_000), frames(5, start_us=50_000)
    writer, journal = begun(tmp_path, Rotation(rows=5))
    feed(writer, before)
    snapshot = writer.snapshot()
    feed(writer, lost)  # two files are full and closed, a third is begun; then the process dies
    journal.close()
    assert len(files(tmp_path)) == 2

    journal = opened(tmp_path)
    again = RecordingWriter(tmp_path, Rotation(rows=5), journal)
    again.restore(snapshot)
    assert list(read_frames(tmp_path)) == before  # what is known stays to be seen
    feed(again, after)
    again.flush_all()
    journal.close()

    assert list(read_frames(tmp_path)) == [*before, *after]


def test_a_fresh_start_makes_a_file_of_what_a_dead_run_left(tmp_path: Path) -> None:
    writer, journal = begun(tmp_path)
    feed(writer, frames(3000))
    journal.close()

    writer, journal = begun(tmp_path, run="bb")
    kept = list(read_frames(tmp_path))
    feed(writer, frames(4, start_us=HOUR_US // 2))
    writer.flush_all()
    journal.close()

    assert kept == frames(len(kept))
    assert len(kept) == 2048  # whole appends; the rest was in memory
    assert list(read_frames(tmp_path)) == [*kept, *frames(4, start_us=HOUR_US // 2)]


def test_a_run_that_died_between_a_file_and_saying_so_leaves_it_once(tmp_path: Path) -> None:
    writer, journal = begun(tmp_path)
    feed(writer, frames(5))
    writer.snapshot()
    feed(writer, frames(9)[5:])  # these reach the file, but not the log
    writer.flush_all()
    journal.close()
    (segment,) = segments(log_folder(tmp_path, "recording-00"))
    data = segment.path.read_bytes()
    segment.path.write_bytes(data[: data.index(b'{"closed"') - 16])
    made = files(tmp_path)
    assert list(read_frames(tmp_path, pending=True)) == frames(9)

    _, journal = begun(tmp_path, run="bb")

    assert files(tmp_path) == made
    assert list(read_frames(tmp_path)) == frames(9)
    journal.close()


def test_a_reader_sees_pending_frames_if_it_asks(tmp_path: Path) -> None:
    one, other = frames(25), frames(6, key=KEYS[1])
    writer, journal = begun(tmp_path, Rotation(rows=10))
    feed(writer, [*one, *other])
    snapshot = writer.snapshot()

    assert list(read_frames(tmp_path)) == one[:20]
    assert list(read_frames(tmp_path, pending=True)) == [*one, *other]
    assert list(read_frames(tmp_path / "binance" / "shard-0", pending=True)) == one
    with pytest.raises(FileError, match="holds no recordings"):
        shards(tmp_path / ".log")

    writer.flush_all()
    journal.close()
    journal = opened(tmp_path)
    RecordingWriter(tmp_path, None, journal).restore(snapshot)  # files and log hold the same now
    assert list(read_frames(tmp_path, pending=True)) == [*one, *other]
    assert len(files(tmp_path)) == 4
    journal.close()


def test_only_pending_frames_are_a_recording_too(tmp_path: Path) -> None:
    writer, journal = begun(tmp_path)
    feed(writer, frames(3))
    writer.snapshot()

    assert list(read_frames(tmp_path, pending=True)) == frames(3)
    with pytest.raises(FileError, match="holds no recordings"):
        list(read_frames(tmp_path))
    journal.close()


def test_a_full_disk_is_an_error_and_a_resumed_run_goes_on_without_loss(tmp_path: Path) -> None:
    items = frames(4000)
    writer, journal = begun(tmp_path)
    feed(writer, items[:100])
    snapshot = writer.snapshot()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(ServiceError, match="hint: free some space"):
            feed(writer, items[100:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(read_frames(tmp_path, pending=True)) == items[:100]
    journal.close()

    journal = opened(tmp_path)
    again = RecordingWriter(tmp_path, None, journal)
    again.restore(snapshot)
    feed(again, items[100:])
    again.flush_all()
    journal.close()
    assert list(read_frames(tmp_path)) == items


def test_a_snapshot_of_another_version_is_refused(tmp_path: Path) -> None:
    writer, journal = begun(tmp_path)
    snapshot = writer.snapshot()
    snapshot["version"] = 1

    with pytest.raises(SnapshotError, match=r"writer is `version 1`, expected `version 2`"):
        writer.restore(snapshot)
    journal.close()


def test_one_that_waits_for_long_is_brought_forward(tmp_path: Path) -> None:
    journal = Journal(log_folder(tmp_path, "recording-00"), service="recording", segment_bytes=2000)
    writer = RecordingWriter(tmp_path, Rotation(rows=50), journal)
    writer.begin("aa")
    feed(writer, frames(7, key=KEYS[1]))
    items = frames(5000)
    for start in range(0, 5000, 25):
        feed(writer, items[start : start + 25])
        snapshot = writer.snapshot()
    journal.close()

    held = sum(s.path.stat().st_size for s in segments(log_folder(tmp_path, "recording-00")))
    assert held < 20_000
    journal = opened(tmp_path)
    again = RecordingWriter(tmp_path, Rotation(rows=50), journal)
    again.restore(snapshot)
    again.flush_all()
    journal.close()
    assert list(read_frames(tmp_path)) == [*items, *frames(7, key=KEYS[1])]
