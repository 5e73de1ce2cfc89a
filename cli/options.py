"""Options that several commands share."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from core.market.errors import ConfigError

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file; cryptotools.toml here by default."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="One setting, such as binance.endpoint=vision."
    ),
]
Workers = Annotated[int, typer.Option("--workers", "-w", min=1, help="Worker threads.")]
Recovery = Annotated[
    Path | None,
    typer.Option("--recovery", "-r", help="Folder of snapshots; `recovery` in state_dir else."),
]
NoRecovery = Annotated[
    bool, typer.Option("--no-recovery", help="Keep no snapshots; begin at the newest trade.")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Move the old snapshots aside and begin new ones.")
]


def overrides(pairs: list[str] | None) -> dict[str, Any]:
    """Return ``a.b=c`` pairs as a tree; values are JSON where they can be, else text.

    Raises:
        ConfigError: A pair without a key or an equals sign.

    """
    tree: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(pair, "expected KEY=VALUE", hint="--set binance.endpoint=vision")
        *path, last = key.strip().split(".")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = _value(value)
    return tree


def recovery_overrides(
    tree: dict[str, Any], recovery: Path | None, *, no_recovery: bool
) -> dict[str, Any]:
    """Return overrides with what was said of recovery.

    Raises:
        ConfigError: A folder was named, and recovery switched off.

    """
    if recovery is not None and no_recovery:
        raise ConfigError("recovery", "`--recovery` and `--no-recovery` exclude each other")
    told: dict[str, Any] = {"enabled": False} if no_recovery else {}
    if recovery is not None:
        told["path"] = str(recovery)
    own = tree.get("recovery", {})
    # Anything but a table is the settings' to refuse.
    return {**tree, "recovery": own | told} if told and isinstance(own, dict) else tree


def params(pairs: list[str] | None) -> dict[str, Any]:
    """Return ``name=value`` pairs by name; values are JSON where they can be, else text.

    Raises:
        ConfigError: A pair without a name or an equals sign.

    """
    found: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError("--param", f"`{pair}` is no NAME=VALUE", hint="--param period=21")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _value(text: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    # A bare number may be a symbol or a decimal text; only tables, lists and switches are JSON.
    return value if isinstance(value, dict | list | bool) else text
