"""Reads recordings back exactly as they were received.

A path may be a file, the folder of one shard, or a folder of many.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from connectors.recording.files import key_of, read, walk
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


def read_lists(path: Path) -> Iterator[list[Frame]]:
    """Yield frames in lists of up to 8,192, shard by shard, each in the order they came.

    Raises:
        FileError: As `shards`, or a file is broken.

    """
    for files in shards(path).values():
        yield from read_files(files)


def read_files(files: list[Path]) -> Iterator[list[Frame]]:
    """Yield the frames of one shard's files, given in order, a list per row group."""
    return chain.from_iterable(map(read, files))


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield frames shard by shard, each in the order they came; errors as `read_lists`."""
    return chain.from_iterable(read_lists(path))


def _order(path: Path) -> tuple[Path, int]:
    return path.parent, int(path.stem)
