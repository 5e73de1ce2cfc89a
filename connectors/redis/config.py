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
    hold_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="How long rows stay in the outbox after Redis took them: 0 with "
            "appendfsync always, 5 with everysec, the failover window with replicas.",
        ),
    ] = 0.0
    max_backlog: Annotated[
        int, Field(ge=1000, description="Rows that may wait while Redis is away; then it blocks.")
    ] = 200_000
    partitions: Annotated[
        int, Field(ge=1, le=64, description="Writers side by side; fixed for a deployment.")
    ] = 4
    timeout: Annotated[float, Field(gt=0, description="Seconds for an answer.")] = 5.0
