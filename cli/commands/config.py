"""``cryptotools config show|check``."""

import re
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides
from cli.output import OUT, Json, print_json
from dataflows.setup import prepare
from subscribers.notify.rules import Rules

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Show or check the settings in force.")
    app.add_typer(group, name="config")

    @group.command()
    def show(config: ConfigFile = None, set_: Set = None, *, json: Json = False) -> None:
        """Print every setting in force as TOML (or JSON), passwords left out."""
        tree = _hide(prepare(config, overrides(set_)).model_dump(mode="json"))
        if json:
            print_json(tree)
        else:
            OUT.print(escape(as_toml(tree)))

    @group.command()
    def check(config: ConfigFile = None, set_: Set = None, *, json: Json = False) -> None:
        """Load the settings and the strategies; exit 2 and say what is wrong, if anything is."""
        settings = prepare(config, overrides(set_))
        Rules(settings.notify)
        found = {
            "ok": True,
            "file": str(config or Path("cryptotools.toml")),
            "symbols": list(settings.symbols),
            "strategies": [spec.instance or spec.name for spec in settings.strategies],
        }
        if json:
            print_json(found)
        else:
            OUT.print(
                f"settings are fine: {len(settings.symbols)} symbols, "
                f"{len(settings.strategies)} strategies"
            )


def _hide(tree: dict[str, Any]) -> dict[str, Any]:
    url = tree["redis"].get("url")
    if isinstance(url, str) and "@" in url:
        scheme, _, rest = url.partition("://")
        tree["redis"]["url"] = f"{scheme}://***@{rest.rpartition('@')[2]}"
    return tree


def as_toml(tree: dict[str, Any]) -> str:
    """Return settings, as `model_dump` gives them, as a file that can be read again."""
    return "\n".join(_toml(tree))


def _toml(tree: dict[str, Any], path: str = "") -> list[str]:
    lines: list[str] = []
    tables: list[str] = []
    for key, value in tree.items():
        own = key if _BARE.fullmatch(key) else _scalar(key)
        name = f"{path}.{own}" if path else own
        if isinstance(value, dict):
            tables += ["", f"[{name}]", *_toml(value, name)]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for row in value:
                tables += ["", f"[[{name}]]", *_toml(row, name)]
        elif value is not None:
            lines.append(f"{own} = {_scalar(value)}")
    return lines + tables


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(v) for v in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
