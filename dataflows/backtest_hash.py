"""What a back-test's result depends on, as one hash: data, code, parameters, settings.

With the same hash the results are the same, to the byte.
"""

import hashlib
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import orjson

from connectors.parquet.reader import Range, trade_parts
from connectors.recording.reader import shards
from dataflows.replay import Found
from strategies.registry import Registry

_OURS = ("core", "strategies", "connectors", "dataflows")
_THEIRS = ("bytewax", "numpy", "pyarrow", "empyrical-reloaded", "pandas")
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that was read; a file moved elsewhere stays the same."""

    name: str
    size: int
    sha256: str


def files_of(found: Found, symbols: set[str] | None) -> list[DataFile]:
    """Return the files that a back-test reads, with hashes of their contents."""
    paths = [file.path for file in (*found.archives, *found.captures)]
    for lake in found.lakes:
        parts = trade_parts(lake, symbols, Range())
        paths += [part.path for own in parts.values() for part in own]
    for recording in found.recordings:
        paths += [path for own in shards(recording).values() for path in own]
    rows = [DataFile(path.name, path.stat().st_size, _sha256(path)) for path in paths]
    return sorted(rows, key=lambda row: (row.name, row.sha256))


def code_of(names: Iterable[str], registry: Registry) -> dict[str, str]:
    """Return hashes of the packages that compute, and of the files of strategies, by name."""
    found = {name: _package(name) for name in _OURS}
    for name in sorted(set(names)):
        registry.find(name)
        code = registry.reread(name)
        if code:
            found[f"strategy {name}"] = code
    return found


def versions() -> dict[str, str]:
    """Return the versions of what computes, as far as it is installed."""
    found = {"cryptotools": version("cryptotools"), "python": platform.python_version()}
    for name in _THEIRS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def run_hash(facts: Mapping[str, object]) -> str:
    """Return the hash of everything that matters, as plain values.

    >>> run_hash({"b": 1, "a": "x"}) == run_hash({"a": "x", "b": 1})
    True
    """
    text = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS, default=str)
    return hashlib.sha256(text).hexdigest()


def short(digest: str) -> str:
    """Return what stands in names of files."""
    return digest[:_SHOWN]


def _package(name: str) -> str:
    folder = Path(str(import_module(name).__file__)).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".py", ".lua"}:
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
