import errno
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.arrowlog.files import cut_back
from connectors.arrowlog.journal import Journal, Mark
from connectors.arrowlog.log import Log, frames, segments
from connectors.arrowlog.reader import pending, root_of
from connectors.arrowlog.state import Closing, Name
from core.market.errors import ServiceError

A: Name = ("a", 1)
B: Name = ("b", 2)


def batch(*values: int) -> Any:  # noqa: ANN401 - pyarrow ships no types
    return pa.record_batch({"n": pa.array(values, pa.int64())})


def opened(folder: Path, **options: Any) -> Journal:  # noqa: ANN401 - any of its options
    return Journal(folder / ".log" / "w-00", service="lake", **options)


def held(found: dict[Name, list[Any]]) -> dict[Name, list[int]]:
    return {name: [n for b in bs for n in b.column("n").to_pylist()] for name, bs in found.items()}


def joined(folder: Path) -> bytes:
    return b"".join(segment.path.read_bytes() for segment in segments(folder))


def nothing_made(closing: Closing, _batches: list[Any]) -> None:
    raise AssertionError(f"no file was made: {closing}")


def test_frames_come_back_from_any_position(tmp_path: Path) -> None:
    log = Log(tmp_path, service="lake", segment_bytes=500)
    log.clear("ab")
    starts = [log.append({"n": n}, batch(n, n + 1)) for n in range(9)]
    log.close()

    again = Log(tmp_path, service="lake")
    assert len(segments(tmp_path)) > 2
    assert [f.start for f in again.frames()] == starts
    assert [f.about["n"] for f in again.frames(starts[4])] == [4, 5, 6, 7, 8]
    assert [f.batch().column("n").to_pylist() for f in again.frames(starts[8])] == [[8, 9]]
    assert again.run == "ab"


@settings(max_examples=60, deadline=None)
@given(
    cut=st.integers(0, 2500),
    garbage=st.one_of(st.binary(max_size=40), st.just(bytes(64)), st.just(b"CTL\x01" + bytes(60))),
)
def test_a_torn_tail_is_cut_back_to_the_last_whole_frame(cut: int, garbage: bytes) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        log = Log(folder, service="lake", segment_bytes=900)
        log.clear("ab")
        ends = [0]
        for n in range(5):
            log.append({"n": n}, batch(*range(n)))
            ends.append(log.position)
        log.close()
        cut, before = min(cut, ends[-1]), joined(folder)
        for segment in segments(folder):
            kept = max(0, cut - segment.start)
            data = segment.path.read_bytes()
            if segment.start <= cut < segment.start + len(data):
                segment.path.write_bytes(data[:kept] + garbage)
            elif segment.start > cut:
                segment.path.unlink()

        # Garbage may happen to be what was cut off.
        whole = max(end for end in ends if joined(folder)[:end] == before[:end])

        again = Log(folder, service="lake", segment_bytes=900)
        assert again.position == whole
        again.append({"n": "new"}, batch(7))
        again.close()

        *old, new = frames(segments(folder))
        assert [f.about["n"] for f in old] == list(range(len(old)))
        assert new.about == {"n": "new"}


def test_a_flipped_bit_ends_the_log_there_and_a_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log(tmp_path, service="lake")
    log.clear("ab")
    starts = [log.append({"n": n}, batch(n)) for n in range(3)]
    log.close()
    (segment,) = segments(tmp_path)
    data = bytearray(segment.path.read_bytes())
    data[starts[1] + 100] ^= 1
    segment.path.write_bytes(data)

    with caplog.at_level(logging.WARNING):
        again = Log(tmp_path, service="lake")

    assert again.position == starts[1]
    assert f"{tmp_path}: cut back to its last whole batch: {len(data) - starts[1]}" in caplog.text


def test_two_writers_of_one_log_are_told_apart_also_in_two_processes(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(ServiceError, match=r"lake: another process writes .*w-00") as error:
        opened(tmp_path)
    assert "hint: stop it, or give each flow its own folder" in str(error.value)

    code = f"""
from pathlib import Path
from connectors.arrowlog.journal import Journal
try:
    Journal(Path({str(tmp_path / ".log" / "w-00")!r}), service="lake")
except Exception as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "another process writes" in said.stdout
    first.close()
    opened(tmp_path).close()


def test_pending_rows_are_those_not_closed_and_a_mark_is_their_place(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.begin("ab")
    journal.rows([(A, 2), (B, 1)], batch(1, 2, 9))
    journal.closed(A)
    journal.rows([(A, 1)], batch(3))
    mark = journal.mark()
    journal.rows([(B, 1)], batch(10))
    journal.close()

    again = opened(tmp_path)
    assert held(again.left()) == {B: [9, 10], A: [3]}
    assert mark["rows"] == 2
    assert held(again.resume(mark, nothing_made)) == {B: [9], A: [3]}
    again.rows([(B, 1)], batch(11))
    assert held(again.left()) == {B: [9, 11], A: [3]}


def test_files_made_since_a_mark_are_undone_with_the_rows_pending_there(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.begin("ab")
    journal.rows([(A, 2)], batch(1, 2))
    mark = journal.mark()
    for path in ("one", "two"):
        journal.closing(Closing(A, path, 5, undo=True))
        journal.closed(A)
    journal.closing(Closing(B, "three", 5, undo=False))
    journal.close()

    told: list[tuple[str, int]] = []
    again = opened(tmp_path)
    again.resume(mark, lambda c, bs: told.append((c.path, sum(b.num_rows for b in bs))))

    assert told == [("one", 2), ("two", 0)]
    assert again.made(A) == "one"  # it holds the two rows, and is to be replaced
    later = again.mark()
    again.close()
    third = opened(tmp_path)
    third.resume(later, nothing_made)
    assert third.made(A) == "one"


def test_a_log_that_is_not_the_snapshots_is_refused(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.begin("ab")
    journal.rows([(A, 1)], batch(1))
    mark = journal.mark()

    with pytest.raises(ServiceError, match=r"the log in .* is not here") as error:
        journal.resume(mark | Mark(run="cd", position=5, rows=1), nothing_made)
    assert "start without its snapshots" in str(error.value)
    with pytest.raises(ServiceError, match="does not hold what the snapshot says"):
        journal.resume(mark | Mark(run="ab", position=9999, rows=1), nothing_made)
    with pytest.raises(ServiceError, match="does not hold what the snapshot says"):
        journal.resume(mark | Mark(run="ab", position=mark["position"], rows=2), nothing_made)
    assert held(journal.resume(mark, nothing_made)) == {A: [1]}


def test_the_log_stays_small_though_one_name_waits_for_ever(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=2000)
    journal.begin("ab")
    journal.rows([(B, 2)], batch(1, 2))
    marks = []
    for n in range(200):
        journal.rows([(A, 3)], batch(n, n, n))
        journal.closed(A)
        for name in journal.stale():
            assert name == B
            journal.rows([(B, 2)], batch(1, 2), again=True)
        marks.append(journal.mark())
    journal.close()

    assert sum(s.path.stat().st_size for s in segments(tmp_path / ".log" / "w-00")) < 16_000
    again = opened(tmp_path)
    assert held(again.left()) == {B: [1, 2]}
    for mark in reversed(marks[-3:]):  # the engine may go back by one; two more are kept
        assert held(again.resume(mark, nothing_made)) == {B: [1, 2]}


def test_what_the_last_three_snapshots_need_is_kept(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=300)
    journal.begin("ab")
    marks = []
    for n in range(6):
        for _ in range(5):
            journal.rows([(A, 1)], batch(n))
        marks.append(journal.mark())
        journal.closed(A)
    journal.close()

    again = opened(tmp_path)
    with pytest.raises(ServiceError, match="does not hold what the snapshot says"):
        again.resume(marks[0], nothing_made)
    for n in (5, 4, 3):
        assert held(again.resume(marks[n], nothing_made)) == {A: [n] * 5}


def test_a_full_disk_is_an_error_and_the_log_goes_on_when_there_is_space(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.begin("ab")
    journal.rows([(A, 2)], batch(1, 2))
    size = sum(s.path.stat().st_size for s in segments(tmp_path / ".log" / "w-00"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, hard))
    try:
        with pytest.raises(ServiceError, match=r"lake: cannot write .*File too large") as error:
            journal.rows([(A, 1)], batch(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "hint: free some space" in str(error.value)
    assert held(journal.left()) == {A: [1, 2]}
    journal.rows([(A, 1)], batch(3))
    journal.mark()
    journal.close()
    assert held(opened(tmp_path).left()) == {A: [1, 2, 3]}


def test_a_segment_that_cannot_be_begun_is_begun_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path, segment_bytes=100)
    journal.begin("ab")
    journal.rows([(A, 2)], batch(1, 2))

    def failing(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("connectors.arrowlog.log.sync_folder", failing)
        with pytest.raises(ServiceError, match="No space left"):
            journal.rows([(A, 1)], batch(3))
    assert held(journal.left()) == {A: [1, 2]}
    journal.rows([(A, 1)], batch(3))
    journal.close()

    assert held(opened(tmp_path).left()) == {A: [1, 2, 3]}


def test_what_cannot_be_synced_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(tmp_path)
    journal.begin("ab")
    journal.rows([(A, 1)], batch(1))

    def failing(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(ServiceError, match="No space left"):
        journal.mark()


def test_a_reader_sees_what_the_writer_has_appended_and_no_torn_frame(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=300)
    journal.begin("ab")
    for n in range(10):
        journal.rows([(A, 1)], batch(n))
        (segment, *_) = reversed(segments(tmp_path / ".log" / "w-00"))
        with segment.path.open("ab") as torn:
            torn.write(b"CTL\x01half a frame")

        assert held(dict(pending(tmp_path))) == {A: list(range(n + 1))}

        os.truncate(segment.path, segment.path.stat().st_size - 16)
    assert root_of(tmp_path / "trades" / "date=1") == tmp_path.resolve()


def test_a_file_that_others_have_added_to_is_not_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"n": [1, 2, 3]}), path)
    before = path.read_bytes()

    cut_back(tmp_path, Closing(A, path.name, 2, undo=True), 0, lambda: memoryview(b""), service="x")

    assert path.read_bytes() == before
    cut_back(tmp_path, Closing(A, path.name, 3, undo=True), 0, lambda: memoryview(b""), service="x")
    assert not path.exists()


def test_without_keeping_nothing_is_left_but_the_lock(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.begin("ab")
    journal.rows([(A, 1)], batch(1))

    journal.close(keep=False)

    assert [p.name for p in (tmp_path / ".log" / "w-00").iterdir()] == ["lock"]
