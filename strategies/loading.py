"""Finding strategies outside this package: in files of a folder, and in installed packages."""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from core.market.errors import StrategyError
from strategies.base import Strategy

GROUP = "cryptotools.strategies"
"""Entry-point group of packages that bring strategies: each names a class."""


@dataclass(frozen=True, slots=True)
class Found:
    """One file or entry point, and its strategies or why there are none.

    Attributes:
        code: Hash of the file as it was read; empty for an entry point.

    """

    origin: str
    result: tuple[type[Strategy], ...] | StrategyError
    code: str = ""


def from_folder(folder: Path) -> Iterator[Found]:
    """Load each file of a folder, sorted by name; those that begin with ``_`` or ``.`` are not."""
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith(("_", ".")):
            yield from_file(path)


def from_file(path: Path) -> Found:
    """Load one file, as it is now."""
    try:
        content = path.read_bytes()
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
        return Found(str(path), StrategyError(str(path), why))
    return Found(str(path), _from_file(path, content), code_of(content))


def code_of(content: bytes) -> str:
    """Return the hash by which a file is known.

    >>> code_of(b"")
    'e4a6a0577479b2b4'
    """
    return blake2b(content, digest_size=8).hexdigest()


def from_entry_points() -> Iterator[Found]:
    """Load each entry point of the group, sorted by name."""
    for point in sorted(entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        yield Found(f"entry point {point.name} = {point.value}", _from_entry_point(point))


def line_of(strategy: type[Strategy]) -> int:
    """Return the line on which the class begins; 0 where no source is found."""
    try:
        return inspect.getsourcelines(strategy)[1]
    except (OSError, TypeError):
        return 0


def _from_entry_point(point: EntryPoint) -> tuple[type[Strategy], ...] | StrategyError:
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # whatever importing somebody's package raises
        return StrategyError(point.name, f"entry point `{point.value}`: {_told(error)}")
    if isinstance(loaded, type) and issubclass(loaded, Strategy):
        return (loaded,)
    return StrategyError(point.name, f"entry point `{point.value}` is no Strategy subclass")


def _from_file(path: Path, content: bytes) -> tuple[type[Strategy], ...] | StrategyError:
    try:
        module = _imported(path, content)
    except (Exception, SystemExit) as error:  # whatever running a user's file raises
        line = _line_in(path, error)
        where = f"{path}:{line}" if line else str(path)
        return StrategyError(where, f"{type(error).__name__}: {_text(error)}")
    own = tuple(
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Strategy)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    )
    if own:
        return own
    hint = "begin the file's name with `_` if it is not meant to hold one"
    return StrategyError(str(path), "no Strategy subclass in this file", hint=hint)


def _imported(path: Path, content: bytes) -> ModuleType:
    # A name of its own, so that a file called json.py or like another folder's replaces nothing.
    digest = blake2b(str(path.resolve()).encode(), digest_size=8).hexdigest()
    name = f"_cryptotools_strategy_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError(f"cannot import `{path}`")
    # Compiled here and not by the loader, which would leave a cache in the user's folder and
    # take it for the file if that was changed within the same second.
    code = compile(content, str(path), "exec")
    module = importlib.util.module_from_spec(spec)
    # Registered while it runs, because annotations are resolved through sys.modules.
    sys.modules[name] = module
    try:
        exec(code, vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _told(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{where}{type(error).__name__}: {_text(error)}"


def _text(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _line_in(path: Path, error: BaseException) -> int:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return lines[-1] or 0 if lines else 0
