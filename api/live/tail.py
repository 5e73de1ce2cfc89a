"""Reads many streams at once, on one server or on a cluster."""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

Row = tuple[str, dict[str, str]]
"""An entry: id and fields."""

Page = tuple[str, list[Row]]
"""What came to a stream."""

Id = tuple[int, int]
"""An entry's id as what it is sorted by."""

ZERO = "0-0"
_POLL_S = 0.1


def parse_id(text: str) -> Id:
    """Return an id's parts.

    Raises:
        ValueError: It is none.

    """
    ms, dash, seq = text.partition("-")
    if not dash or not (ms + seq).isdecimal() or len(ms) > 20 or len(seq) > 20:
        raise ValueError(text)
    return int(ms), int(seq)


class Tail:
    """Follows streams by plain reads, without consumer groups.

    Args:
        bus: Redis; answers are text.

    """

    def __init__(self, bus: Redis) -> None:
        self._bus = bus
        self.split = False
        """Whether streams of several instruments may not be named in one command."""

    async def open(self) -> None:
        """Learn whether the server is part of a cluster."""
        told: Any = await self._bus.info("cluster")
        self.split = bool(told.get("cluster_enabled"))

    async def read(self, since: Mapping[str, str], *, count: int, block_ms: int = 0) -> list[Page]:
        """Return what came to streams after the given ids, `count` entries of each at most.

        Waits up to `block_ms` for the first; 0: not at all.
        """
        if not since:
            await asyncio.sleep(block_ms / 1000)
            return []
        if self.split:
            return await self._read_split(since, count, block_ms)
        return await self._read(since, count, block_ms or None)

    async def _read(self, since: Mapping[str, str], count: int, block: int | None) -> list[Page]:
        wanted: dict[Any, Any] = dict(since)
        answer: Any = await self._bus.xread(wanted, count=count, block=block)
        return [(name, rows) for name, rows in answer or []]

    async def _read_split(self, since: Mapping[str, str], count: int, block_ms: int) -> list[Page]:
        # One read per instrument, whose streams share a slot; none of them may block the others.
        groups: dict[str, dict[str, str]] = {}
        for name, after in since.items():
            groups.setdefault(name.partition("}")[0], {})[name] = after
        waited = 0.0
        while True:
            found = await asyncio.gather(
                *(self._read(group, count, None) for group in groups.values())
            )
            pages = [page for answer in found for page in answer]
            if pages or waited >= block_ms / 1000:
                return pages
            await asyncio.sleep(_POLL_S)
            waited += _POLL_S
