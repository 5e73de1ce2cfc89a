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
    typer.Option("--recovery", "-r", help="Folder of snapshots, to go on after a restart."),
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


def _value(text: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    # A bare number may be a symbol or a decimal text; only tables, lists and switches are JSON.
    return value if isinstance(value, dict | list | bool) else text
