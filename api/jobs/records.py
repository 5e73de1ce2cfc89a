"""Records of jobs in Redis, so that every replica of the API can list and end them.

The process that runs a job is the only one that writes its record, every second. Others leave a
wish to end it. One whose record grows old has died with its job.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError
from redis.asyncio import Redis

from api.data.tail import explained
from client.jobs import JobItem
from connectors.redis.keys import JOB_ENDS, JOBS

DEAD_S = 15.0
"""A job that lasts and was not heard of for so long has no process any more."""

KEPT = 100
"""Jobs that are remembered."""

LASTING = frozenset({"queued", "running"})


@dataclass(frozen=True, slots=True)
class Known:
    """A job's record, and when it was written (seconds since the epoch, Redis's clock)."""

    item: JobItem
    written: float


class Records:
    """Reads and writes them.

    Every method raises `ServiceError` when Redis is not there.
    """

    def __init__(self, bus: Redis) -> None:
        self._bus: Any = bus  # the client's hints are those of both of its kinds

    async def now(self) -> float:
        """Return the time of Redis's clock, which all replicas share."""
        async with explained():
            seconds, micros = await self._bus.time()
        return float(seconds) + float(micros) / 1e6

    async def put(self, item: JobItem) -> None:
        """Write a record."""
        row = {"written": await self.now(), "item": item.model_dump(mode="json")}
        async with explained():
            await self._bus.hset(JOBS, item.id, orjson.dumps(row))

    async def get(self, job: str) -> JobItem | None:
        """Return a job as it is."""
        async with explained():
            body = await self._bus.hget(JOBS, job)
        known = None if body is None else _read(body)
        return None if known is None else _alive(known, await self.now())

    async def all(self) -> list[JobItem]:
        """Return all jobs, the newest first."""
        async with explained():
            rows = await self._bus.hvals(JOBS)
        now = await self.now()
        found = [_alive(known, now) for known in map(_read, rows) if known is not None]
        return sorted(found, key=lambda item: (item.created, item.id), reverse=True)

    async def forget(self, *jobs: str) -> None:
        """Drop records."""
        if jobs:
            async with explained():
                await self._bus.hdel(JOBS, *jobs)
                await self._bus.hdel(JOB_ENDS, *jobs)

    async def wish(self, job: str) -> None:
        """Ask whoever runs a job to end it."""
        async with explained():
            await self._bus.hset(JOB_ENDS, job, "1")

    async def wished(self, jobs: list[str]) -> set[str]:
        """Return which of some jobs are to end."""
        if not jobs:
            return set()
        async with explained():
            found = await self._bus.hmget(JOB_ENDS, jobs)
        return {job for job, wish in zip(jobs, found, strict=True) if wish}

    async def old(self) -> list[str]:
        """Return the oldest jobs that have ended, as far as there are too many."""
        found = [item for item in await self.all() if item.state not in LASTING]
        return [item.id for item in found[KEPT:]]


def _read(body: str) -> Known | None:
    try:
        row = orjson.loads(body)
        return Known(JobItem.model_validate(row["item"]), float(row["written"]))
    except (ValueError, KeyError, TypeError, ValidationError):  # of another version of ours
        return None


def _alive(known: Known, now: float) -> JobItem:
    item = known.item
    if item.state not in LASTING or now - known.written < DEAD_S:
        return item
    why = "its process ended: the API that ran it is gone"
    return item.model_copy(update={"state": "failed", "error": why})
