import fcntl
import resource
from pathlib import Path

import pytest

from connectors.durable import clean, publish
from core.market.errors import ServiceError


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.parquet"

    publish(path, b"one", service="lake")
    publish(path, memoryview(b"two"), service="lake")

    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_an_error_that_names_the_way_out_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the size of files is the nearest thing to a full disk that a test may cause.
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(ServiceError, match="cannot write") as error:
            publish(path, b"x" * 100, service="lake")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert str(error.value).startswith(f"lake: cannot write {path}: File too large")
    assert "hint: free some space" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(ServiceError, match=r"recording: cannot write .*File exists") as error:
        publish(tmp_path / "taken" / "file", b"x", service="recording")

    assert "hint: make the folder writable" in str(error.value)


def test_what_the_dead_left_is_removed_and_what_the_living_write_is_not(tmp_path: Path) -> None:
    (tmp_path / "date=1").mkdir()
    dead, alive = tmp_path / "date=1" / ".a.parquet.tmp", tmp_path / "date=1" / ".b.parquet.tmp"
    dead.write_bytes(b"half")
    kept = tmp_path / "date=1" / "a.parquet"
    kept.write_bytes(b"whole")
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        assert clean(tmp_path) == 1

    assert sorted(kept.parent.iterdir()) == [alive, kept]


def test_two_writers_of_one_file_are_told_apart(tmp_path: Path) -> None:
    with (tmp_path / ".file.tmp").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        with pytest.raises(ServiceError, match="give each flow its own folder"):
            publish(tmp_path / "file", b"x", service="lake")


def test_a_new_attempt_takes_over_what_the_dead_left(tmp_path: Path) -> None:
    (tmp_path / ".file.tmp").write_bytes(b"much longer than the new content")

    publish(tmp_path / "file", b"new", service="lake")

    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"new"]
