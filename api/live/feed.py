"""The event lane's one order: entries of all event streams, merged into one log in Redis.

    md:{~feed}:log    s (stream) i (id there) b (its fields, JSON); or s r: entries of it were lost
    md:{~feed}:pos    per stream, the id of the newest entry that is in the log

Every replica merges; the server takes each entry once (``feed.lua``). So the log is the same for
all, goes on where it stood when nobody was there, and one id says what a client has seen of all
streams. The streams' own ids would not do: they rise within a stream only.
"""

import logging
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from api.live.tail import ZERO, Page, Tail, parse_id

LOG = logging.getLogger("cryptotools.api.live")

FEED = "md:{~feed}:log"
POSITIONS = "md:{~feed}:pos"
KINDS = frozenset({"kline", "signal", "fill", "event", "prediction"})
"""The streams that are merged."""

KEEP = 50_000
"""Entries of the log, about: how far back a client may resume."""

_BEGAN = "~began"
_CALL = 500  # entries of one call keep the server busy for some milliseconds
_ASKED = 500  # commands in one go


class Feed:
    """Merges streams.

    Args:
        bus: Redis; answers are text.
        keep: Entries of the log, about.

    """

    def __init__(self, bus: Redis, keep: int = KEEP) -> None:
        self._bus = bus
        self._keep = keep
        self.since: dict[str, str] = {}
        """Where reading goes on, per stream."""
        self.begun = False
        """Whether it is open."""

    async def open(self, names: Sequence[str], tail: Tail) -> None:
        """Take up where the log stands; begin behind what there is if nobody has begun yet."""
        await self._load()
        positions: Any = await self._bus.hgetall(POSITIONS)
        if _BEGAN not in positions:
            newest = await self._newest(names)
            flat = [text for name in names for text in (name, newest[name])]
            await self._bus.fcall("ctf_begin_1", 1, POSITIONS, *flat)
            positions = await self._bus.hgetall(POSITIONS)
        del positions[_BEGAN]
        if not tail.split:
            await self._heal(positions)
        self.since = {name: positions.get(name, ZERO) for name in names}
        self.begun = True

    def follow(self, names: Sequence[str]) -> None:
        """Follow these streams; new ones from their first entry."""
        for name in names:
            self.since.setdefault(name, ZERO)

    async def merge(self, pages: Sequence[Page]) -> None:
        """Have the log take what was read, and move on."""
        lost = await self._lost([name for name, _ in pages])
        call: list[str] = []
        names: list[str] = []
        size = 0
        for name, rows in pages:
            for at in range(0, len(rows), _CALL):
                part = rows[at : at + _CALL]
                if size and size + len(part) > _CALL:
                    await self._call(names, call)
                    call, names, size = [], [], 0
                # A second part follows the first, which moves the position on.
                since = rows[at - 1][0] if at else self.since[name]
                call += [name, since, "1" if name in lost and not at else "0", str(len(part))]
                call += [text for entry, fields in part for text in (entry, _body(fields))]
                names.append(name)
                size += len(part)
        if names:
            await self._call(names, call)

    async def _call(self, names: list[str], call: list[str]) -> None:
        answer: Any = await self._bus.fcall(
            "ctf_merge_1", 2, FEED, POSITIONS, str(self._keep), *call
        )
        self.since.update(zip(names, answer, strict=True))

    async def _load(self) -> None:
        code = files("api.live").joinpath("feed.lua").read_text("utf-8")
        library = code.partition("name=")[2].partition("\n")[0]
        if await self._bus.function_list(library=library):
            return
        try:
            await self._bus.function_load(code)
        except ResponseError as error:
            if "already exists" not in str(error):  # another replica was faster
                raise

    async def _newest(self, names: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for at in range(0, len(names), _ASKED):
            part = names[at : at + _ASKED]
            pipe = self._bus.pipeline(transaction=False)
            for name in part:
                pipe.xrevrange(name, count=1)
            answers: Any = await pipe.execute()
            found |= {
                n: rows[0][0] if rows else ZERO for n, rows in zip(part, answers, strict=True)
            }
        return found

    async def _heal(self, positions: dict[str, str]) -> None:
        # A stream that was deleted, and may have begun again, is not the one that was read. On
        # a cluster one may also be behind for a moment, after a fail-over: the same entries come.
        newest = await self._newest(list(positions))
        for name, position in list(positions.items()):
            if parse_id(newest[name]) < parse_id(position):
                LOG.warning("%s has begun anew: its position is forgotten", name)
                await self._bus.fcall("ctf_forget_1", 2, FEED, POSITIONS, name, position)
                del positions[name]

    async def _lost(self, names: Sequence[str]) -> set[str]:
        # Trimmed past a position: the entry at which reading stopped is gone as well.
        pipe = self._bus.pipeline(transaction=False)
        for name in names:
            since = self.since[name]
            if since == ZERO:
                pipe.xinfo_stream(name)
            else:
                pipe.xrange(name, min=since, max=since, count=1)
        answers: Any = await pipe.execute()
        lost = set()
        for name, answer in zip(names, answers, strict=True):
            if not (answer if self.since[name] != ZERO else _is_whole(answer)):
                LOG.warning("entries of %s were trimmed before they were merged", name)
                lost.add(name)
        return lost


def _is_whole(told: dict[str, Any]) -> bool:
    return bool(told["entries-added"] == told["length"])  # nothing was ever removed


def _body(fields: dict[str, str]) -> str:
    return orjson.dumps(fields).decode()
