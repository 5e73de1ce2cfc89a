"""Opens plain, gzip and zip files alike, reads them in whole lines, and checks their checksums."""

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from core.market.errors import FileError

BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading raises where a gzip file is cut off or damaged."""

Told: TypeAlias = Callable[[int], None]
"""Told how many bytes of the packed file have been read since the last call."""

BLOCK_BYTES = 8 << 20
_LINE_BYTES = 64 << 20
_HEAD_BYTES = 1 << 16
# Where a gzip file is torn, what one read had unpacked before is lost: reads are short.
_READ_BYTES = 1 << 17
_BOM = b"\xef\xbb\xbf"
_BIG_MEMBER = 256 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, `count` of them; `torn` says why nothing can be read behind them."""

    data: bytes
    first_line: int
    count: int
    torn: str = ""

    @property
    def next_line(self) -> int:
        """Number of the line behind."""
        return self.first_line + self.count


@contextmanager
def open_bytes(path: Path, told: list[BinaryIO] | None = None) -> Iterator[BinaryIO]:
    """Open a file for reading, unpacked; its packed form is added to `told`.

    Raises:
        FileError: It cannot be opened, is no zip, has not one member, or the member's own
            checksum is wrong.

    """
    try:
        with path.open("rb") as raw:
            if told is not None:
                told.append(raw)
            if path.suffix == ".zip":
                with _member(path, raw) as file:
                    yield file
            elif path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield unpacked  # type: ignore[misc]  # reads bytes, is no BinaryIO by name
            else:
                yield raw
    except gzip.BadGzipFile:
        raise  # an OSError, but of what is in the file
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None


@contextmanager
def _member(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    name = ""
    try:
        with zipfile.ZipFile(raw) as packed:
            members = [m for m in packed.infolist() if not m.is_dir()]
            if len(members) != 1:
                raise FileError(path, f"holds {len(members)} files, expected one")
            name = f"{members[0].filename}: "
            if members[0].file_size > _BIG_MEMBER and packed.testzip() is not None:
                # Rows of one so big go out before its end, where its checksum is compared.
                raise FileError(path, f"is no whole zip file ({name}wrong checksum)")
            with packed.open(members[0]) as file:
                yield file  # type: ignore[misc]  # ZipExtFile reads bytes, likewise
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise FileError(path, f"is no whole zip file ({name}{error})") from None


def head(path: Path) -> bytes:
    """Return what the first 64 KiB of a file unpack to; less where it is torn.

    Raises:
        FileError: As `open_bytes`.

    """
    out = b""
    with open_bytes(path) as file:
        try:
            while len(out) < _HEAD_BYTES and (data := file.read(4096)):
                out += data
        except BROKEN:
            pass  # whoever reads the rows says so, with the line
    return out.removeprefix(_BOM)


def blocks(
    path: Path, told: Told | None = None, size: int = BLOCK_BYTES
) -> Generator[Block, None, None]:
    """Yield a file in blocks of whole lines; a torn file's last line, if cut, is left out.

    Raises:
        FileError: As `open_bytes`, or a line is longer than 64 MiB.

    """
    handles: list[BinaryIO] = []
    seen, line, torn = 0, 1, ""
    rest: list[bytes] = []
    with open_bytes(path, handles) as file:
        while not torn:
            parts, torn = _read(file, size)
            if told is not None:
                at = handles[0].tell()
                told(max(0, at - seen))
                seen = max(seen, at)
            end = not parts and not torn
            data, rest = _whole_lines([*rest, *parts], end=end)
            if line == 1:
                data = data.removeprefix(_BOM)
            if data or torn:
                block = Block(data, line, data.count(b"\n"), torn)
                line += block.count
                yield block
            if end:
                return
            if sum(map(len, rest)) > _LINE_BYTES:
                raise FileError(path, "is no text in lines", line=line)


def ahead(found: Generator[Block, None, None]) -> Iterator[Block]:
    """Yield blocks while a thread unpacks the next one, which needs no interpreter lock."""
    with ThreadPoolExecutor(1, "unpack") as pool:
        coming = pool.submit(next, found, None)
        try:
            while (block := coming.result()) is not None:
                coming = pool.submit(next, found, None)
                yield block
        finally:
            coming.exception()  # the thread is done with it
            found.close()


def _read(file: BinaryIO, size: int) -> tuple[list[bytes], str]:
    parts: list[bytes] = []
    try:
        while size > 0 and (part := file.read1(_READ_BYTES)):  # type: ignore[attr-defined]  # all three kinds of file have it
            parts.append(part)
            size -= len(part)
    except BROKEN as error:
        return parts, str(error) or "damaged"
    return parts, ""


def _whole_lines(parts: list[bytes], *, end: bool) -> tuple[bytes, list[bytes]]:
    # Joined once: text is copied as seldom as can be.
    if end:
        data = b"".join(parts)
        return (data + b"\n" if data and not data.endswith(b"\n") else data), []
    for index in range(len(parts) - 1, -1, -1):
        cut = parts[index].rfind(b"\n") + 1
        if cut:
            behind = [parts[index][cut:], *parts[index + 1 :]]
            return b"".join([*parts[:index], parts[index][:cut]]), behind
    return b"", parts


def lines(path: Path, told: Told | None = None) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of lines that are not blank.

    Where a gzip file is cut off or damaged, the last item has the negative number of the line
    that could not be read, and the reason.
    """
    for block in blocks(path, told, _READ_BYTES):
        for number, line in enumerate(block.data.split(b"\n"), block.first_line):
            text = line.decode("utf-8", "replace").strip()
            if text:
                yield number, text
        if block.torn:
            yield -block.next_line, block.torn


def checksum_of(path: Path) -> Path:
    """Return where the checksum of a file stands, if there is one."""
    return path.with_name(f"{path.name}.CHECKSUM")


def check_sum(path: Path) -> bool:
    """Compare a file with the ``.CHECKSUM`` beside it; return whether there was one.

    Raises:
        FileError: They differ, or the checksum file says nothing of this file.

    """
    beside = checksum_of(path)
    if not beside.exists():
        return False
    words = beside.read_bytes().decode("utf-8", "replace").split()
    expected, name = words if len(words) == 2 else ("", " ".join(words))
    if name.lstrip("*") != path.name:
        raise FileError(beside, f"is not for {path.name}", value=name)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.lower():
        why = f"its SHA-256 is {found}, {beside.name} says {expected}; download it again"
        raise FileError(path, why)
    return True
