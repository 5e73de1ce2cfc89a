"""What a request for a job says, understood and checked before anything is started."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from api.data.asked import interval_of, time_of
from api.problems import ProblemError
from client.jobs import BacktestRequest, JobRequest
from config.settings import Settings
from dataflows.addresses import NO_REDIS

_PAPER = ("cash", "fee_bps", "slippage_bps", "size", "size_mode", "fill", "short")


def settings_for(settings: Settings, request: JobRequest) -> dict[str, Any]:
    """Return the settings of a job as plain values: it publishes nothing and knows no secrets."""
    tree = settings.model_dump(mode="json")
    tree["redis"]["url"] = NO_REDIS
    if isinstance(request, BacktestRequest):
        told = {name: getattr(request, name) for name in _PAPER}
        given = {name: value for name, value in told.items() if value is not None}
        tree["paper"] |= {"enabled": True} | {
            name: value if isinstance(value, bool) else str(value) for name, value in given.items()
        }
    try:
        Settings(**tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][-1]) if first["loc"] else ""
        raise ProblemError(422, str(first["msg"]), field=field) from None
    return tree


def job_of(settings: Settings, request: JobRequest) -> dict[str, Any]:
    """Return what the job's process is told, as plain values (`cli.job`)."""
    told: dict[str, Any] = {
        "kind": request.kind,
        "paths": [str(path) for path in paths_of(settings, request.data)],
        "strategies": list(request.strategies),
        "market": request.market,
    }
    if not isinstance(request, BacktestRequest):
        return told | {"symbol": request.symbol}
    start, end = _time(request.from_, "from"), _time(request.to, "to")
    if start is not None and end is not None and end <= start:
        raise ProblemError(422, f"`{request.to}` is not behind `{request.from_}`", field="to")
    return told | {
        "params": [_text(name, values) for name, values in request.params.items()],
        "symbols": [symbol.upper() for symbol in request.symbols],
        "interval": None if request.interval is None else interval_of(request.interval),
        "start": start,
        "end": end,
        "warmup": request.warmup,
        "sort": request.sort,
        "top": request.top,
        "most": request.max_combinations,
    }


def paths_of(settings: Settings, names: Iterable[str]) -> list[Path]:
    """Return the files and folders of a request, links followed.

    Only what lies in the lake, the recordings or `api.data_dirs` is read; of anything else a caller
    does not even learn whether it is there.
    """
    known = {"lake": settings.lake.path, "recordings": settings.recording.path}
    roots = [path.resolve() for path in (*known.values(), *settings.api.data_dirs)]
    found = []
    for name in names:
        try:
            path = (known.get(name) or Path(name)).resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links, a character that cannot be
            path = Path("/")
        if not any(path == root or path.is_relative_to(root) for root in roots):
            hint = "lake, recordings, or a path in them or in a folder of `api.data_dirs`"
            raise ProblemError(422, f"`{name}` may not be read", field="data", hint=hint)
        if not path.exists():
            raise ProblemError(422, f"`{name}` does not exist", field="data")
        found.append(path)
    return found


def _time(value: str | int | None, field: str) -> str | None:
    found = time_of(None if value is None else str(value), field)
    if found is None:
        return None
    return datetime.fromtimestamp(found / 1e6, UTC).isoformat()


def _text(name: str, values: object) -> str:
    listed = values if isinstance(values, list) else [values]
    return f"{name}={','.join(_value(value) for value in listed)}"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
