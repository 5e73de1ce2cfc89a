"""Space on the disks that a flow writes to: where there is none, to start again would not help."""

import shutil
from collections.abc import Iterable
from pathlib import Path

NEEDED = 32 << 20
"""Bytes: the logs of some minutes, and room to publish a file."""


def lacking(folders: Iterable[Path]) -> str:
    """Return which folder's disk is as good as full, in words; empty if none is."""
    for folder in folders:
        free = _free(folder)
        if free is not None and free < NEEDED:
            return f"the disk of {folder} has {free >> 20} MiB left, {NEEDED >> 20} are needed"
    return ""


def _free(folder: Path) -> int | None:
    for existing in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(existing).free
        except OSError:
            continue
    return None
