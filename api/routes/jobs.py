"""Replays and back-tests as jobs."""

from pathlib import Path as File
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse

from api.jobs.records import LASTING
from api.jobs.runner import Runner
from api.problems import ProblemError
from api.security.guard import Controller, Reader
from client.jobs import JobItem, JobRequest, Jobs, State

router = APIRouter(tags=["jobs"])

_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox"
)
"""The report is one page with styles of its own: no script, nothing from elsewhere."""


def _runner(request: Request) -> Runner:
    found: Runner = request.app.state.jobs
    return found


WithJobs = Annotated[Runner, Depends(_runner)]
JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="Of the job.")]

_HTML = {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "A page."}
_OBJECT = {
    "content": {"application/json": {"schema": {"type": "object"}}},
    "description": "What `cryptotools backtest --json` or `replay --json` prints.",
}


@router.post(
    "/jobs",
    status_code=202,
    summary="Start a back-test or a replay",
    responses={202: {"headers": {"Location": {"schema": {"type": "string"}}}}},
)
async def submit(
    body: JobRequest, jobs: WithJobs, _caller: Controller, response: Response, request: Request
) -> JobItem:
    """Take a job: a process of its own, `api.jobs` at once; 20 more wait, others get a 429."""
    item = await jobs.submit(body)
    response.headers["Location"] = f"{request.url.path}/{item.id}"
    return item


@router.get("/jobs", summary="List jobs")
async def listed(
    jobs: WithJobs,
    _caller: Reader,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
) -> Jobs:
    """List the jobs of all replicas of the API, the newest first; a hundred are remembered."""
    found = await jobs.records.all()
    return Jobs(items=[item for item in found if state in {None, item.state}])


@router.get("/jobs/{job}", summary="How a job is")
async def one(job: JobId, jobs: WithJobs, _caller: Reader) -> JobItem:
    """Say how far a job is."""
    return await _existing(jobs, job)


@router.delete(
    "/jobs/{job}",
    status_code=202,
    summary="Cancel or forget a job",
    responses={202: {"description": "It ends; or it had, and is forgotten with its results."}},
)
async def end(job: JobId, jobs: WithJobs, _caller: Controller) -> JobItem:
    """Cancel a job that lasts, of whatever replica; forget one that has ended."""
    item = await _existing(jobs, job)
    await jobs.end(job)
    return await jobs.records.get(job) or item


@router.get(
    "/jobs/{job}/result", summary="Result of a job", responses={200: _OBJECT},
    response_class=FileResponse,
)  # fmt: skip
async def result(job: JobId, jobs: WithJobs, _caller: Reader) -> FileResponse:
    """Give the figures of a job that is done."""
    path = await _file(jobs, job, "result.json")
    return FileResponse(path, media_type="application/json")


@router.get(
    "/jobs/{job}/report", summary="Report of a back-test", responses={200: _HTML},
    response_class=FileResponse,
)  # fmt: skip
async def report(job: JobId, jobs: WithJobs, _caller: Reader) -> FileResponse:
    """Give the report of a back-test as a page without scripts."""
    path = await _file(jobs, job, "report.html")
    headers = {
        "Content-Security-Policy": _REPORT_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)


async def _existing(jobs: Runner, job: str) -> JobItem:
    item = await jobs.records.get(job)
    if item is None:
        hint = "GET /api/v1/jobs lists those that are remembered"
        raise ProblemError(404, f"there is no job `{job}`", field="job", hint=hint)
    return item


async def _file(jobs: Runner, job: str, name: str) -> File:
    item = await _existing(jobs, job)
    if item.state in LASTING:
        hint = f"ask again: it is {item.state}, {item.progress:.0%} done"
        raise ProblemError(409, "the job is not done yet", hint=hint)
    if item.state != "done":
        raise ProblemError(
            409, f"the job has no result: it was {item.state}", hint=item.error or ""
        )
    path = jobs.folder / job / name
    if await to_thread.run_sync(path.exists):
        return path
    if name == "report.html" and item.kind != "backtest":
        raise ProblemError(404, "only a back-test has a report", hint="see /result")
    hint = f"it was run on {item.host}: share a folder and set api.jobs_dir"
    raise ProblemError(404, f"{name} of the job is not here", hint=hint)
