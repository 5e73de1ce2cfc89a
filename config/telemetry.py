"""Settings of metrics and traces."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class MetricsConfig(BaseModel):
    """Where Prometheus finds the metrics of a flow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[
        str,
        Field(description="Address to listen at; 0.0.0.0 for a Prometheus elsewhere: no tokens."),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Field(ge=0, le=65_000, description="Of process 0, one more for each further process; "
              "0: no metrics are served."),
    ] = 0  # fmt: skip


class TracesConfig(BaseModel):
    """Where traces go; they need the extra `otel`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[
        str, Field(description="An OTLP address, such as http://localhost:4318; unset: nowhere.")
    ] = ""
    ratio: Annotated[
        float, Field(ge=0, le=1, description="Share of batches and requests that are traced.")
    ] = 0.01
