"""Settings of the lake."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

_DAY_SECONDS = 86_400


class LakeConfig(BaseModel):
    """Where the lake is and when a file is full.

    A file ends with the last row of its span of data time, or when it has `rotate_rows`: both
    depend on the rows alone, so a second run over the same rows writes the same files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[Path, Field(description="Folder of the Parquet lake.")] = Path("lake")
    rotate_rows: Annotated[int, Field(ge=1, description="Rows of a full file.")] = 1_000_000
    rotate_seconds: Annotated[
        int,
        Field(ge=1, le=_DAY_SECONDS, description="Data time of a file of trades; divides a day."),
    ] = 3600
    records_rotate_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=_DAY_SECONDS,
            description="The same for klines, signals and events; 86400 gives fewer files.",
        ),
    ] = 21_600
    compression_level: Annotated[int, Field(ge=1, le=22, description="Of zstd.")] = 3
    partitions: Annotated[
        int, Field(ge=1, le=64, description="Writers side by side; fixed for a deployment.")
    ] = 4

    @field_validator("rotate_seconds", "records_rotate_seconds")
    @classmethod
    def _divides_a_day(cls, value: int) -> int:
        if _DAY_SECONDS % value:
            raise ValueError(f"`{value}` does not divide a day of {_DAY_SECONDS} seconds")
        return value
