"""Captures of others: one frame per line, often with the time it was received before it.

1723161253937085768 {"stream":…}     nanoseconds, by its size; or ms, us, or seconds
1633998512.0633569: {"stream":…}     seconds with a point, and a colon
{"stream":…}                         no time
wss://… <-> 1633998511.159679        a note about the connection: counted, not used
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

from connectors.archive.facts import FileFacts
from connectors.archive.names import ArchiveFile
from connectors.archive.opening import lines
from connectors.archive.refusals import Refusals
from core.market.events import Frame, Quarantined
from core.market.position import Positions
from telemetry.progress import PROGRESS

Out: TypeAlias = Frame | Quarantined

_LINE = re.compile(r"(\d{1,20}(?:\.\d{1,12})?)\s*:?\s+(.*)", re.ASCII | re.DOTALL)
_NOTE = re.compile(r"(?:wss?|https?)://\S+ (?:<->|<-|->) .*", re.DOTALL)
_CHUNK = 4096


def read_lines(file: ArchiveFile, key: str, facts: FileFacts | None = None) -> Iterator[list[Out]]:
    """Yield a capture's frames in the order of its lines, in lists.

    The first is of kind ``file``: it names the file to the session, and stands at the time of the
    first frame. A line without a time stands at that of the line before it, or at 0. A file that
    is cut off ends with an event that says so; what was before it is there.

    Args:
        file: A capture.
        key: The key of the frames: ``binance:capture``.
        facts: What was found out is written there.

    Raises:
        FileError: It cannot be unpacked.

    """
    known = facts or FileFacts(file.path, file.kind.value)
    chunk: list[Out] = []
    begun = False
    for frame in _frames(file, key, known):
        if not begun:
            at = frame.received_us if isinstance(frame, Frame) else 0
            chunk.append(Frame(key, at, "file", 0, file.path.name))
            begun = True
        chunk.append(frame)
        if len(chunk) >= _CHUNK:
            PROGRESS.advance(0, len(chunk))
            yield chunk
            chunk = []
    if not begun:
        chunk = [Frame(key, 0, "file", 0, file.path.name)]
    PROGRESS.advance(0, len(chunk))
    yield chunk


def _frames(file: ArchiveFile, key: str, facts: FileFacts) -> Iterator[Out]:
    received_us = 0
    left = file.path.stat().st_size

    def told(size: int) -> None:
        nonlocal left
        share = min(size, left)
        left -= share
        PROGRESS.advance(share, 0)

    for number, text in lines(file.path, told):
        if number < 0:
            facts.torn = text
            refusals = Refusals(key, file.path, Positions(), received_us)
            yield refusals.torn(-number, text)
            break
        if _NOTE.fullmatch(text):
            facts.notes += 1
            continue
        match = _LINE.fullmatch(text)
        if match is not None:
            received_us = to_us(match[1])
        facts.rows += 1
        yield Frame(key, received_us, "frame", number, text if match is None else match[2])
    told(left)


def to_us(text: str) -> int:
    """Return a time in microseconds, its unit told by its size.

    >>> to_us("1723161253937085768"), to_us("1633998512.0633569"), to_us("1633998512063.5")
    (1723161253937085, 1633998512063356, 1633998512063500)
    """
    whole, _, fraction = text.partition(".")
    number = int(whole)
    if number < 10**11:
        return number * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    if number < 10**14:
        return number * 1000 + int(fraction[:3].ljust(3, "0"))
    return number if number < 10**17 else number // 1000
