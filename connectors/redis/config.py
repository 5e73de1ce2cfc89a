"""Settings of the Redis side."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class RedisConfig(BaseModel):
    """Where to publish and how much to keep."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[
        str | None,
        Field(description="An address; unset: embedded server; none: publish nowhere."),
    ] = None
    keep: Annotated[int, Field(ge=100, description="Entries kept per stream, about.")] = 100_000
    keep_forming: Annotated[int, Field(ge=10, description="The same for forming klines.")] = 1000
    retention_ms: Annotated[
        int | None,
        Field(ge=1000, description="Drop entries this much older than the newest; unset: only "
              "the number counts."),
    ] = None  # fmt: skip
    hold_seconds: Annotated[
        float | None,
        Field(
            ge=0,
            description="How long rows stay in the outbox after Redis took them; unset: asked of "
            "the server (0 with appendfsync always, 5 with everysec, 30 with replicas).",
        ),
    ] = None
    max_backlog: Annotated[
        int,
        Field(ge=1000, description="Rows that the outbox of a writer may hold; then it blocks."),
    ] = 200_000
    batch: Annotated[
        int, Field(ge=1, le=5000, description="Rows per call: 500 keep a server busy for 2-4 ms.")
    ] = 500
    partitions: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Writers side by side, fixed for a deployment; "
            "one asks the server once for all instruments.",
        ),
    ] = 1
    timeout: Annotated[float, Field(gt=0, description="Seconds for an answer.")] = 5.0
    connect_timeout: Annotated[float, Field(gt=0, description="Seconds for a connection.")] = 2.0
    client_name: Annotated[
        str, Field(pattern=r"^[!-~]+$", description="What CLIENT LIST shows of us.")
    ] = "cryptotools"
