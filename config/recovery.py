"""Settings of recovery and of the supervisor."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class RecoveryConfig(BaseModel):
    """Whether and how often a live flow remembers where it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: Annotated[bool, Field(description="Go on after a restart where the flow stood.")] = (
        True
    )
    path: Annotated[
        Path | None, Field(description="Folder of the store; unset: `recovery` in `state_dir`.")
    ] = None
    snapshot_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=600,
            description="A crash asks for so many seconds of trades again; each snapshot costs "
            "a sync of the disk.",
        ),
    ] = 10


class SupervisorConfig(BaseModel):
    """How patient `cryptotools up` is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grace_seconds: Annotated[
        float, Field(gt=0, description="Time to end in after a stop signal; then it is killed.")
    ] = 30.0
    frozen_seconds: Annotated[
        float, Field(gt=0, description="Without progress for so long, the flow is restarted.")
    ] = 60.0
    start_seconds: Annotated[
        float, Field(gt=0, description="The same before its first progress.")
    ] = 120.0
    max_failures: Annotated[
        int, Field(ge=1, description="So many failures within the window: give up.")
    ] = 10
    window_seconds: Annotated[float, Field(gt=0, description="The window.")] = 300.0
