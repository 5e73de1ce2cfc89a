"""What the API and its clients say to each other.

Amounts are exact decimals as text, as everywhere at an edge; times are ISO 8601 in UTC or
microseconds since the epoch where a name ends in ``_us``.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Base of what the API answers: a client takes fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Problem(Model):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: Annotated[str, Field(description="What kind of error.")]
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(description="What is wrong, with the bad value.")] = ""
    field: Annotated[str | None, Field(description="The part of the request.")] = None
    hint: Annotated[str | None, Field(description="The way out.")] = None


class Health(Model):
    """That the API's process lives."""

    status: str = "ok"
    uptime_s: float


class Version(Model):
    """What runs."""

    version: str
    python: str
    api: Annotated[int, Field(description="Number in the paths: /api/v1.")] = 1


class FlowStatus(Model):
    """How a flow is: what `cryptotools status --json` prints."""

    name: str
    state: str
    well: bool
    troubles: list[str] = []
    age_s: float | None = None
    restarts: int = 0
    gaps_open: int = 0
    backlog_rows: int = 0
    rss_bytes: int = 0
    rows: dict[str, int] = {}
    links: dict[str, int] = {}
    symbols: dict[str, dict[str, Any]] = {}
    processes: dict[str, dict[str, Any]] = {}
    supervisor: dict[str, Any] | None = None
