"""Opens plain, gzip and zip files alike, and checks the checksum beside them."""

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from core.market.errors import FileError

BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading raises where a gzip file is cut off or damaged."""


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, unpacked.

    Raises:
        FileError: It is no zip, has not one member, or the member's own checksum is wrong.

    """
    if path.suffix != ".zip":
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file  # type: ignore[misc]  # GzipFile is no BinaryIO by name, but reads bytes
        return
    try:
        with zipfile.ZipFile(path) as packed:
            members = [m for m in packed.namelist() if not m.endswith("/")]
            if len(members) != 1:
                raise FileError(path, f"holds {len(members)} files, expected one")
            with packed.open(members[0]) as file:
                yield file  # type: ignore[misc]  # ZipExtFile, likewise
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise FileError(path, f"is no whole zip file ({error})") from None


def first_line(path: Path) -> str:
    """Return the first line that is not blank, cut to 4,096 characters; empty if there is none."""
    try:
        with open_bytes(path) as file:
            for line in file:
                text = line[:4096].decode("utf-8", "replace").strip()
                if text:
                    return text
    except BROKEN:
        return ""
    except OSError as error:
        raise FileError(path, str(error.strerror or error)) from None
    return ""


def check_sum(path: Path) -> bool:
    """Compare a file with the ``.CHECKSUM`` beside it; return whether there was one.

    Raises:
        FileError: They differ, or the checksum file says nothing of this file.

    """
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.exists():
        return False
    expected, _, name = beside.read_text("utf-8").strip().partition("  ")
    if name.strip() != path.name:
        raise FileError(beside, f"is not for {path.name}", value=name)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.lower():
        why = f"its SHA-256 is {found}, {beside.name} says {expected}; download it again"
        raise FileError(path, why)
    return True
