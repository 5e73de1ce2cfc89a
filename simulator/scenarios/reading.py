"""Reads scenarios, ours by name and the user's from files.

    about = "one line for people"
    base = "calm"                        # a name, or a file beside this one; may be left out
    speed = 10.0                         # and any other of `SimulatorSettings`
    faults = ["drop@after=5s"]           # behind those of the base; or tables: [[faults]]

A key takes the place of the base's; tables are merged key by key.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from core.market.errors import ConfigError
from simulator.config import SimulatorSettings
from simulator.faults import read_fault

_SUFFIX: Final = ".toml"
_FOLDER: Final = Path(str(files("simulator.scenarios")))
_OWN: Final = ("about", "base")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A simulated exchange with a name; `about` is one line for people."""

    name: str
    about: str
    settings: SimulatorSettings


@cache
def scenarios() -> dict[str, Scenario]:
    """Return our own scenarios by name."""
    return {path.stem: _read(path, ()) for path in sorted(_FOLDER.glob(f"*{_SUFFIX}"))}


def scenario(what: str | Path) -> Scenario:
    """Return the scenario of a name or a file.

    Raises:
        ConfigError: No such scenario or file, or something in the file that cannot be: it names
            the file, the key, the value and the way out.

    """
    found = scenarios().get(str(what))
    return found or _read(_file(what, Path()), ())


def _file(what: str | Path, beside: Path) -> Path:
    path = beside / what
    if path.suffix == _SUFFIX or path.is_file():
        return path
    hint = f"known are {' '.join(scenarios())}, or name a file that ends with {_SUFFIX}"
    raise ConfigError("scenario", f"unknown scenario `{what}`", hint=hint)


def _read(path: Path, above: tuple[Path, ...]) -> Scenario:
    """Return the scenario of a file; `above` are those whose base it is."""
    tree = _tree(path, above)
    about = tree.pop("about", "")
    if not isinstance(about, str):
        raise ConfigError(f"{path}: about", f"`{about}` is no text", hint='about = "..."')
    try:
        settings = SimulatorSettings.model_validate(tree)
    except ValidationError as error:
        raise _explained(path, error) from None
    return Scenario(path.stem, about, settings)


def _tree(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """Return a file as a tree, merged into that of its base; faults are read."""
    if path.resolve() in above:
        circle = " -> ".join(str(p.name) for p in (*above, path))
        why = f"its base leads back to it ({circle})"
        raise ConfigError(f"{path}: base", why, hint="let one of them have no base")
    tree = _toml(path)
    base = tree.pop("base", None)
    tree["faults"] = _faults(path, tree.get("faults", []))
    _resolve(path, tree)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise ConfigError(f"{path}: base", f"`{base}` is no name", hint='such as base = "calm"')
    below = _tree(_base(path, base), (*above, path.resolve()))
    below.pop("about", None)
    return _merged(below, tree) | {"faults": [*below["faults"], *tree["faults"]]}


def _base(path: Path, name: str) -> Path:
    own = _FOLDER / f"{name}{_SUFFIX}"
    try:
        return own if own.is_file() else _file(name, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: base", error.why, hint=error.hint) from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is not TOML: {error}") from None


def _faults(path: Path, given: object) -> list[object]:
    if not isinstance(given, list):
        hint = 'faults = ["drop@after=5s"]'
        raise ConfigError(f"{path}: faults", f"`{given}` is no list", hint=hint)
    read: list[object] = []
    for number, fault in enumerate(given, 1):
        try:
            read.append(read_fault(fault))
        except ConfigError as error:
            raise ConfigError(f"{path}: faults, {number}.", error.why, hint=error.hint) from None
    return read


def _resolve(path: Path, tree: dict[str, Any]) -> None:
    """Let the recorded trades of a file be beside it."""
    market = tree.get("market")
    recorded = market.get("recorded") if isinstance(market, dict) else None
    for one in recorded if isinstance(recorded, list) else ():
        if isinstance(one, dict) and isinstance(one.get("path"), str):
            one["path"] = path.parent / one["path"]


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merged(old, value)
        else:
            merged[key] = value
    return merged


def _explained(path: Path, error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False)[0]
    where = tuple(first["loc"])
    key = ".".join(map(str, where))
    if first["type"] == "extra_forbidden":
        known = _known(SimulatorSettings, where[:-1])
        near = difflib.get_close_matches(str(where[-1]), known, 1, 0.5)
        hint = f"did you mean `{near[0]}`?" if near else f"known are {' '.join(known)}"
        return ConfigError(f"{path}: {key}", f"there is no such setting (`{where[-1]}`)", hint=hint)
    why = f"`{first['input']}`: {first['msg'].removeprefix('Value error, ')}"
    return ConfigError(f"{path}: {key}", why)


def _known(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    own = list(_OWN) if not path else []
    for part in path:
        field = model.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        model = inner or model
    return [*model.model_fields, *own]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    # tuple[SymbolSettings, ...] and the like
    inner = (_model_in(part) for part in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model is not None), None)
