"""``cryptotools version``."""

import platform
from importlib.metadata import version as version_of

import typer

from cli.output import OUT, Json, print_json


def facts() -> dict[str, str]:
    """Return what a bug report needs."""
    packages = ("bytewax", "numpy", "pyarrow", "pydantic", "redis", "websockets")
    return {
        "cryptotools": version_of("cryptotools"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: version_of(name) for name in packages},
    }


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def version(*, json: Json = False) -> None:
        """Print versions."""
        if json:
            print_json(facts())
            return
        for name, value in facts().items():
            OUT.print(f"{name} {value}")
