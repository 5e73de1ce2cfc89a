"""Reads recordings back exactly as they were received.

A path may be a file, the folder of one shard, or a folder of many. Files are whole or not there, so
a reader sees frames up to the last file that a writer filled. With `pending` it sees the younger
ones too, from the logs of a running flow or of one that died: all but the thousand, or those since
the last snapshot, that are still in the writer's memory.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from connectors.arrowlog.files import rows_of
from connectors.arrowlog.reader import pending as pending_rows
from connectors.arrowlog.reader import root_of
from connectors.recording.files import (
    ROW_GROUP_ROWS,
    Batch,
    concatenated,
    file_name,
    folder,
    from_batch,
    key_of,
    read,
    walk,
)
from core.market.errors import FileError
from core.market.events import Frame


def shards(path: Path) -> dict[str, list[Path]]:
    """Return the files at or below `path` in order of time, by the key of their shard.

    Raises:
        FileError: There is no such path, nothing is recorded there, or a file is no recording.

    """
    if not path.exists():
        raise FileError(path, "no such file or folder")
    files = [path] if path.is_file() else sorted(walk(path), key=_order)
    if not files:
        raise FileError(path, "holds no recordings")
    folders: dict[Path, str] = {}
    found: dict[str, list[Path]] = {}
    for file in files:
        # One look per folder: all files of a shard are in its own.
        if file.parent not in folders:
            folders[file.parent] = key_of(file)
        found.setdefault(folders[file.parent], []).append(file)
    return dict(sorted(found.items()))


def read_lists(path: Path, *, pending: bool = False) -> Iterator[list[Frame]]:
    """Yield frames in lists of up to 8,192, shard by shard, each in the order they came.

    Args:
        path: A file, the folder of one shard, or a folder of many.
        pending: Whether to read the frames that are in no file yet, too.

    Raises:
        FileError: As `shards`, or a file is broken.

    """
    logged = _logged(path) if pending else {}  # before the files: a frame is then in one of them
    found = shards(path) if not logged or _recorded(path) else {}
    for key in sorted({*found, *logged}):
        files: list[tuple[int, Path | Batch]] = [(int(p.stem), p) for p in found.get(key, [])]
        for number, batch in logged.get(key, []):
            files = _joined(files, number, batch)
        for _, rows in files:
            yield from read(rows) if isinstance(rows, Path) else _lists(key, rows)


def read_files(files: list[Path]) -> Iterator[list[Frame]]:
    """Yield the frames of one shard's files, given in order, a list per row group."""
    return chain.from_iterable(map(read, files))


def read_frames(path: Path, *, pending: bool = False) -> Iterator[Frame]:
    """Yield frames shard by shard, each in the order they came; errors as `read_lists`."""
    return chain.from_iterable(read_lists(path, pending=pending))


def _logged(path: Path) -> dict[str, list[tuple[int, Batch]]]:
    root, top = root_of(path), path.resolve()
    found: dict[str, list[tuple[int, Batch]]] = {}
    if root is None:
        return found
    for name, batches in pending_rows(root):
        key, number = str(name[0]), int(name[1])
        if (folder(root, key) / file_name(number)).is_relative_to(top):
            found.setdefault(key, []).append((number, concatenated(batches)))
    return found


def _recorded(path: Path) -> bool:
    return path.is_file() or next(walk(path), None) is not None


def _joined(
    files: list[tuple[int, Path | Batch]], number: int, batch: Batch
) -> list[tuple[int, Path | Batch]]:
    # A file of that number has the same frames: all of them, if it was filled since the log was
    # read; the first of them, if a run was stopped and goes on.
    known = [rows for n, rows in files if n == number and isinstance(rows, Path)]
    if known and rows_of(known[0]) >= batch.num_rows:
        return files
    others = [(n, rows) for n, rows in files if n != number]
    return sorted([*others, (number, batch)], key=lambda file: file[0])


def _lists(key: str, batch: Batch) -> Iterator[list[Frame]]:
    for start in range(0, batch.num_rows, ROW_GROUP_ROWS):
        yield from_batch(key, batch.slice(start, ROW_GROUP_ROWS))


def _order(path: Path) -> tuple[Path, int]:
    return path.parent, int(path.stem)
