"""What the engine's own command line and variables said to this process.

The engine tells neither to the flow that it asks a module for; both are read again, as it does.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Which process of a cluster this is, and where its recovery store is, if anywhere.

    Attributes:
        alone: Whether there is no other process.

    """

    process: int = 0
    recovery: Path | None = None
    alone: bool = True


def engine_options(
    arguments: Sequence[str] | None = None, env: Mapping[str, str] | None = None
) -> EngineOptions:
    """Return what ``python -m bytewax.run`` was told."""
    variables = os.environ if env is None else env
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("-i", "--process-id", type=int, default=_process_of(variables))
    parser.add_argument(
        "-r", "--recovery-directory", default=variables.get("BYTEWAX_RECOVERY_DIRECTORY")
    )
    parser.add_argument("-a", "--addresses", default=variables.get("BYTEWAX_ADDRESSES"))
    found, _ = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
    directory = found.recovery_directory
    others = found.addresses or variables.get("BYTEWAX_HOSTFILE_PATH")
    alone = not others or (others == found.addresses and ";" not in others)
    return EngineOptions(found.process_id, Path(directory) if directory else None, alone)


def _process_of(variables: Mapping[str, str]) -> int:
    told = variables.get("BYTEWAX_PROCESS_ID")
    if told is None:
        name, group = (variables.get(f"BYTEWAX_{n}", "") for n in ("POD_NAME", "STATEFULSET_NAME"))
        told = name.removeprefix(f"{group}-") if name and group else "0"
    return int(told) if told.isdecimal() else 0
