"""What is known of a version of a model: everything but its weights."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from strategies.ml.features import FeatureSet
from strategies.ml.labels import Target


class _Fixed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(_Fixed):
    """How a feature was distributed in the training rows.

    Attributes:
        edges: Inner edges of the bins, rising; a value on an edge is in the bin above.
        shares: Share of the rows in each bin, one more than edges.

    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]


class Span(_Fixed):
    """Rows of a part of the data: how many, and from when to when (starts of klines, UTC)."""

    rows: int
    first: str
    last: str


class Output(_Fixed):
    """Where the prediction is in what the ONNX graph gives.

    Attributes:
        name: The graph's output.
        column: Which column of it.

    """

    name: str
    column: Annotated[int, Field(ge=0)] = 0


class Manifest(_Fixed):
    """A version of a model.

    Attributes:
        name: The model's.
        version: Hash of the model and of what it was made of: the same training gives the same.
        estimator: What was trained: ``logistic``, ``gbm``, ...
        target: What it predicts.
        features: What it sees.
        definition: Hash of that.
        keys: Instruments whose rows it saw.
        train: The rows it was fitted on.
        valid: The later rows that it was judged by; between them lies the horizon.
        data: Hash of all these rows and labels.
        metrics: By part (``train``, ``valid``), the metrics by name.
        histograms: By feature, how the training rows were distributed; of none that is a clock.
        output: Where the prediction is.
        exported: How far the ONNX graph is from the estimator on the training rows.
        libraries: Versions of what made it.
        parameters: What the estimator was made with.

    """

    schema_version: Literal[1] = 1
    name: str
    version: str
    estimator: str
    target: Target
    features: FeatureSet
    definition: str
    keys: tuple[str, ...] = ()
    train: Span
    valid: Span
    data: str
    metrics: dict[str, dict[str, float]]
    histograms: dict[str, Histogram]
    output: Output
    exported: dict[str, float | str] = {}
    libraries: dict[str, str] = {}
    parameters: dict[str, Any] = {}
