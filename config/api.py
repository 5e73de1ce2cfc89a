"""Settings of the HTTP API, and of those who call it."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from config.secret import Secret


class ApiConfig(BaseModel):
    """Where the API listens, what it allows, and where the command line finds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: Annotated[bool, Field(description="Have `cryptotools up` serve it.")] = True
    host: Annotated[
        str, Field(description="Address to listen at; others than loopback need tokens.")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="0: any free one.")] = 8000
    tokens: Annotated[
        Path | None,
        Field(description="File of hashed tokens; unset: tokens.json in the state folder."),
    ] = None
    hosts: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(description="Names it answers to, beside its address and localhost; * is any."),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...], NoDecode, Field(description="Origins of other pages that may call it.")
    ] = ()
    requests_per_minute: Annotated[
        int, Field(ge=1, description="Of one caller; one more is answered with 429.")
    ] = 1200
    commands_per_minute: Annotated[int, Field(ge=1, description="The same for commands.")] = 120
    body_bytes: Annotated[int, Field(ge=1024, description="Largest body that is read.")] = 1 << 20
    live_clients: Annotated[
        int, Field(ge=1, description="Live connections at once; one more is answered with 503.")
    ] = 1000
    jobs: Annotated[
        int, Field(ge=0, description="Replays and back-tests at once; 0: none are started.")
    ] = 1
    jobs_dir: Annotated[
        Path | None, Field(description="Folder of their results; unset: jobs in the state folder.")
    ] = None
    data_dirs: Annotated[
        tuple[Path, ...],
        NoDecode,
        Field(description="Folders that jobs may read, beside the lake and the recordings."),
    ] = ()
    command_seconds: Annotated[
        float, Field(gt=0, le=60, description="How long a command waits for its outcome.")
    ] = 10.0
    dashboard: Annotated[bool, Field(description="Serve the dashboard at /.")] = True
    url: Annotated[
        str, Field(description="An API that the command line is to use; unset: none, but Redis.")
    ] = ""
    token: Annotated[Secret, Field(description="The token that the command line shows it.")] = (
        SecretStr("")
    )

    @field_validator("hosts", "cors_origins", "data_dirs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]
