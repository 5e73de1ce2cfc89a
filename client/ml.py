"""Models, their versions, and what becomes of a promotion."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from client.models import Model


class VersionRows(Model):
    """Rows of a part of the data: how many, and from when to when."""

    rows: int
    first: str
    last: str


class ModelVersion(Model):
    """What is known of a version."""

    version: Annotated[str, Field(examples=["708df657c6ec"])]
    current: Annotated[bool, Field(description="A flow begins with it.")]
    estimator: str
    target: dict[str, Any]
    features: str
    columns: list[str]
    interval: str
    definition: str
    keys: list[str]
    train: VersionRows
    valid: VersionRows
    metrics: Annotated[
        dict[str, dict[str, float]], Field(description="By part; `baseline_…`: of a constant.")
    ]


class RunningModel(Model):
    """Which versions speak on an instrument, as the flow said last."""

    key: str
    version: Annotated[str, Field(description="Empty: none.")]
    shadows: list[str]
    time_us: int


class ModelItem(Model):
    """A model."""

    name: str
    configured: Annotated[bool, Field(description="The settings name it.")]
    online: Annotated[bool, Field(description="It learns in the flow: it has no versions.")]
    current: Annotated[str, Field(description="The version that a flow begins with, if any.")]
    versions: list[ModelVersion]
    running: list[RunningModel]


class Models(Model):
    """All models of the registry and of the settings."""

    items: list[ModelItem]


class VersionRequest(BaseModel):
    """Which version is meant."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"example": {"version": "708d"}}
    )

    version: Annotated[
        str,
        Field(pattern=r"^([0-9a-f]{1,64}|none)$",
              description="A version or its first characters; to promote also none."),
    ]  # fmt: skip


class ModelResult(Model):
    """What became of a command on one instrument, or at the shard that passes it on."""

    subject: str
    state: str
    reason: str = ""


class ModelOutcome(Model):
    """What became of a command."""

    command: str
    outcome: Annotated[
        Literal["applied", "accepted"],
        Field(description="applied: every instrument said so; accepted: some have not yet."),
    ]
    results: list[ModelResult]
    model: ModelItem
