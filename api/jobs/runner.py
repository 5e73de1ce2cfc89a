"""Runs jobs: so many processes at once, the others wait; each tells how far it is.

submit ─► queue ─► process (`cli.job`) ─► lines of JSON ─► the record in Redis
│ ends with its parent: its input is a pipe of ours
└► <folder>/<id>/result.json, report.html, log
"""

import asyncio
import contextlib
import logging
import shutil
import socket
import sys
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from api.jobs.records import LASTING, Records
from api.jobs.understood import job_of, settings_for
from api.metrics import JOBS
from api.problems import ProblemError
from api.services import Services
from client.jobs import JobItem, JobRequest
from core.market.errors import ServiceError

LOG = logging.getLogger("cryptotools.api")

MOST_QUEUED = 20
_BEAT_S = 1.0
_PAUSE_S = 0.25
_PATIENCE_S = 5.0
_LINE_BYTES = 1 << 20


@dataclass(slots=True)
class _Own:
    """A job of this process.

    Attributes:
        saved: What of it Redis knows.
        ending: Why it is ended, if it is.

    """

    item: JobItem
    folder: Path
    saved: JobItem | None = None
    beat: float = 0.0
    ending: dict[str, Any] | None = None
    process: asyncio.subprocess.Process | None = None
    task: "asyncio.Task[None] | None" = None
    told: dict[str, Any] = field(default_factory=dict)

    def change(self, **update: Any) -> None:  # noqa: ANN401 - fields of a record
        self.item = self.item.model_copy(update=update)


class Runner:
    """The jobs of one process of the API.

    Args:
        own: Settings and Redis.

    """

    def __init__(self, own: Services) -> None:
        self._own = own
        self._jobs: dict[str, _Own] = {}
        self._queue: deque[_Own] = deque()
        self._keeper: asyncio.Task[None] | None = None
        self.records = Records(own.bus)
        for state in JOBS:
            own.metrics.jobs.labels(state).set_function(partial(self._number, state))

    @property
    def folder(self) -> Path:
        """Where results are."""
        settings = self._own.settings
        return (settings.api.jobs_dir or settings.state_dir / "jobs").absolute()

    async def submit(self, request: JobRequest) -> JobItem:
        """Take a job; it starts as soon as there is room.

        Raises:
            ProblemError: It cannot be (422), none are started (403), too many wait (429).
            ServiceError: Redis is not there.

        """
        settings = self._own.settings
        if not settings.api.jobs:
            raise ProblemError(403, "no jobs are started here", hint="set api.jobs")
        if len(self._queue) >= MOST_QUEUED:
            raise ProblemError(
                429, f"{MOST_QUEUED} jobs wait already", headers={"Retry-After": "30"}
            )
        told, job = settings_for(settings, request), job_of(settings, request)
        item = JobItem(
            id=uuid4().hex,
            kind=request.kind,
            state="queued",
            created=_now(),
            host=socket.gethostname(),
            request=request.model_dump(mode="json", by_alias=True, exclude_none=True),
        )
        own = _Own(item, self.folder / item.id)
        await asyncio.to_thread(_write, own.folder, {"settings": told, "job": job})
        await self._save(own)
        self._jobs[item.id] = own
        self._queue.append(own)
        self._fill()
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep(), name="jobs")
        return own.item

    async def end(self, job: str) -> None:
        """End a job, of whatever process; one that has ended is forgotten, with its results."""
        own = self._jobs.get(job)
        if own is not None and own.item.state in LASTING:
            await self._cancel(own)
            return
        item = await self.records.get(job)
        if item is not None and item.state in LASTING:
            await self.records.wish(job)
            return
        await self.records.forget(job)
        await asyncio.to_thread(shutil.rmtree, self.folder / job, ignore_errors=True)

    async def close(self) -> None:
        """End all of them: the API stops."""
        self._queue.clear()
        for own in self._jobs.values():
            if own.item.state in LASTING:
                await self._stop(own, {"state": "failed", "error": "the API was stopped"})
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        with contextlib.suppress(ServiceError):
            for own in self._unsaved():
                await self._save(own)

    # ---- how they go on ----

    async def _keep(self) -> None:
        while any(own.item.state in LASTING for own in self._jobs.values()) or self._unsaved():
            self._fill()
            try:
                await self._tell()
            except ServiceError as error:  # the jobs go on; what became of them is told later
                LOG.warning("jobs cannot be told to redis: %s", error)
            await asyncio.sleep(_PAUSE_S)
        self._jobs.clear()

    def _fill(self) -> None:
        running = sum(own.item.state == "running" for own in self._jobs.values())
        while self._queue and running < self._own.settings.api.jobs:
            own = self._queue.popleft()
            own.change(state="running", started=_now())
            own.task = asyncio.create_task(self._run(own), name=f"job-{own.item.id}")
            running += 1

    async def _tell(self) -> None:
        lasting = [one.item.id for one in self._jobs.values() if one.item.state in LASTING]
        for job in await self.records.wished(lasting):
            await self._cancel(self._jobs[job])
        now = asyncio.get_running_loop().time()
        for own in list(self._jobs.values()):
            changed = own.saved is None or own.saved.state != own.item.state
            if changed or (own.item.state in LASTING and now - own.beat > _BEAT_S):
                await self._save(own)
        await self._tidy()

    async def _save(self, own: _Own) -> None:
        item = own.item
        await self.records.put(item)
        own.saved, own.beat = item, asyncio.get_running_loop().time()

    def _unsaved(self) -> list[_Own]:
        found = self._jobs.values()
        return [own for own in found if own.saved is None or own.saved.state != own.item.state]

    async def _tidy(self) -> None:
        if any(own.item.state == "running" for own in self._jobs.values()):
            return
        old = await self.records.old()
        await self.records.forget(*old)
        for job in old:
            await asyncio.to_thread(shutil.rmtree, self.folder / job, ignore_errors=True)

    # ---- one of them ----

    async def _run(self, own: _Own) -> None:
        try:
            code = await self._process(own)
        except OSError as error:
            own.told, code = {"error": str(error)}, 1
        own.process = None
        if own.ending is not None:
            self._ended(own, **own.ending)
        elif code == 0 and not own.told:
            self._ended(own, state="done", progress=1.0)
        else:
            why = own.told.get("error") or f"its process ended with {code}; see {own.folder}/log"
            self._ended(own, state="failed", error=why, hint=own.told.get("hint"))
        self._fill()

    def _ended(self, own: _Own, **update: Any) -> None:  # noqa: ANN401 - fields of a record
        own.change(ended=_now(), **update)
        item = own.item
        self._own.metrics.jobs_ended.labels(item.kind, item.state).inc()
        if self._own.traces is not None and item.started and item.ended:
            took = (item.ended - item.started).total_seconds()
            about = {"job": item.id, "state": item.state}
            self._own.traces.job(item.kind, took, about, ok=item.state == "done")

    def _number(self, state: str) -> int:
        return sum(one.item.state == state for one in list(self._jobs.values()))

    async def _process(self, own: _Own) -> int:
        with (own.folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cli.job", str(own.folder),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                limit=_LINE_BYTES,
            )  # fmt: skip
        own.process = process
        if own.ending is not None:  # somebody was quicker
            process.terminate()
        assert process.stdout is not None
        async for line in process.stdout:
            self._hear(own, line)
        return await process.wait()

    def _hear(self, own: _Own, line: bytes) -> None:
        try:
            said = orjson.loads(line)
        except ValueError:
            return  # what a strategy prints
        if not isinstance(said, dict):
            return
        if "error" in said:
            own.told = {name: str(said.get(name) or "") or None for name in ("error", "hint")}
        elif "progress" in said:
            progress = min(1.0, max(0.0, float(said["progress"])))
            own.change(progress=progress, rows=int(said.get("rows", 0)))

    async def _cancel(self, own: _Own) -> None:
        if own in self._queue:
            self._queue.remove(own)
            self._ended(own, state="cancelled")
            await self._save(own)
            return
        await self._stop(own, {"state": "cancelled"})
        await self._save(own)

    async def _stop(self, own: _Own, ending: dict[str, Any]) -> None:
        if own.task is None:
            self._ended(own, **ending)
            return
        own.ending = ending
        for end in ("terminate", "kill"):
            if own.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    getattr(own.process, end)()
            done, _ = await asyncio.wait({own.task}, timeout=_PATIENCE_S)
            if done:
                return


def _write(folder: Path, told: dict[str, dict[str, Any]]) -> None:
    try:
        folder.mkdir(parents=True)
        for name, row in told.items():
            (folder / f"{name}.json").write_bytes(orjson.dumps(row))
    except OSError as error:
        hint = "set api.jobs_dir to a folder that can be written"
        raise ServiceError(f"jobs folder {folder.parent}", str(error.strerror), hint=hint) from None


def _now() -> datetime:
    return datetime.now(UTC)
