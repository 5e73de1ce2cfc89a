"""Captures of others: one frame per line, often with the time it was received before it.

1723161253937085768 {"stream":…}     nanoseconds, by its size; or ms, us, or seconds
1633998512.0633569: {"stream":…}     seconds with a point, and a colon
{"stream":…}                         no time
wss://… <-> 1633998511.159679        a note about the connection: counted, not used
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from connectors.archive.names import ArchiveFile
from connectors.archive.trades import bad, lines
from core.market.events import Frame, Quarantined
from telemetry.progress import PROGRESS

Out: TypeAlias = Frame | Quarantined

_LINE = re.compile(r"(\d+(?:\.\d+)?)\s*:?\s+(.*)", re.ASCII | re.DOTALL)
_NOTE = re.compile(r"wss?://\S+ (?:<->|<-|->) .*", re.DOTALL)
_CHUNK = 4096


def read_lines(file: ArchiveFile, key: str) -> Iterator[list[Out]]:
    """Yield a capture's frames in the order of its lines, in lists.

    A file that is cut off ends with an event that says so; what was before it is there.

    Args:
        file: A capture.
        key: The key of the frames: ``binance:capture``.

    """
    chunk: list[Out] = [Frame(key, 0, "file", 0, file.path.name)]
    for number, text in lines(file.path):
        if number < 0:
            why = f"the file is cut off or damaged here ({text})"
            chunk.append(bad(key, file.path, -number, why, ""))
            break
        if _NOTE.fullmatch(text):
            continue
        chunk.append(_frame(key, number, text))
        if len(chunk) >= _CHUNK:
            PROGRESS.advance(0, len(chunk))
            yield chunk
            chunk = []
    PROGRESS.advance(_size(file.path), len(chunk))
    yield chunk


def _frame(key: str, number: int, text: str) -> Frame:
    match = _LINE.fullmatch(text)
    if match is None:
        return Frame(key, 0, "frame", number, text)
    return Frame(key, to_us(match[1]), "frame", number, match[2])


def to_us(text: str) -> int:
    """Return a time in microseconds, its unit told by its size.

    >>> to_us("1723161253937085768"), to_us("1633998512.0633569"), to_us("1633998512063")
    (1723161253937085, 1633998512063356, 1633998512063000)
    """
    whole, _, fraction = text.partition(".")
    number = int(whole)
    if number < 10**11:
        return number * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    if number < 10**14:
        return number * 1000
    return number if number < 10**17 else number // 1000


def _size(path: Path) -> int:
    return path.stat().st_size
