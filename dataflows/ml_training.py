"""Tables → versions of models: fitted on earlier rows, judged by later ones, exported, described.

Everything has a fixed seed and one thread: the same rows give the same version.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from core.ledger.certificate import time_text
from core.market.errors import ModelError
from dataflows.ml_export import export
from dataflows.ml_rows import Table, split
from strategies.ml.extra import need
from strategies.ml.features import FeatureSet
from strategies.ml.labels import Floats, Target
from strategies.ml.manifest import Histogram, Manifest, Output, Span
from strategies.ml.metrics import edges, psi, shares
from strategies.ml.onnx_model import OnnxModel

_TOLERANCE = 1e-9
_LEAST_ROWS = 50
_LIBRARIES = ("numpy", "onnx", "onnxruntime", "skl2onnx", "sklearn")

Make = Callable[[Mapping[str, Any]], Any]


def _linear(part: str, **defaults: object) -> Make:
    def make(params: Mapping[str, Any]) -> Any:  # noqa: ANN401 - scikit-learn ships no types
        scaler = need("sklearn.preprocessing").StandardScaler()
        model = getattr(need("sklearn.linear_model"), part)(**{**defaults, **params})
        return need("sklearn.pipeline").make_pipeline(scaler, model)

    return make


def _boosted(part: str) -> Make:
    def make(params: Mapping[str, Any]) -> Any:  # noqa: ANN401 - likewise
        # Half of scikit-learn's 100 trees at its rate of 0.1: prices are mostly noise.
        given = {"random_state": 0, "max_iter": 50, "early_stopping": False, **params}
        return getattr(need("sklearn.ensemble"), part)(**given)

    return make


@dataclass(frozen=True, slots=True)
class Estimator:
    """What can be trained.

    Attributes:
        predicts: The kind of target.
        make: Returns a new one with these parameters.
        about: For people.

    """

    predicts: Literal["up", "return"]
    make: Make
    about: str


ESTIMATORS: dict[str, Estimator] = {
    "logistic": Estimator(
        "up", _linear("LogisticRegression", max_iter=1000), "logistic regression, scaled"
    ),
    "gbm": Estimator("up", _boosted("HistGradientBoostingClassifier"), "boosted trees"),
    "ridge": Estimator("return", _linear("Ridge"), "ridge regression, scaled"),
    "gbm-return": Estimator("return", _boosted("HistGradientBoostingRegressor"), "boosted trees"),
}
"""By name."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to train.

    Attributes:
        name: Of the model.
        estimator: Which of `ESTIMATORS`.
        features: What it sees.
        target: What it predicts.
        holdout: Share of the rows, the latest, that it is judged by.
        parameters: Of the estimator, where they are to differ.

    """

    name: str
    estimator: str
    features: FeatureSet
    target: Target
    holdout: float = 0.2
    parameters: Mapping[str, Any] = field(default_factory=dict)


def train(order: Order, table: Table) -> tuple[Manifest, bytes]:
    """Return a version's manifest, which has no version yet, and its graph.

    Raises:
        ModelError: There are too few rows, the estimator refuses them, or its graph does not say
            what it says.
        ConfigError: A library is missing.

    """
    known = table.known()
    fit, judge = split(known, order.holdout) if len(known) else (known, known)
    _enough(order, fit, judge)
    classifies = order.target.kind == "up"
    estimator = _fitted(order, fit)
    graph, output = export(estimator, fit.values.shape[1], classifies=classifies)
    manifest = _manifest(order, fit, judge, known, output)
    model = OnnxModel(manifest, graph)
    said = model.predict_many(fit.values)
    differs = _difference(estimator, fit.values, said, classifies=classifies)
    if not differs <= _TOLERANCE:
        raise ModelError(order.name, f"the ONNX graph differs from the estimator by {differs:g}")
    metrics = {
        "train": fit.quality(order.target, said),
        "valid": judge.quality(order.target, model.predict_many(judge.values)),
    }
    exported = {"rows": float(len(fit)), "max_difference": differs, "dtype": "float64"}
    return manifest.model_copy(update={"metrics": metrics, "exported": exported}), graph


def evaluate(model: OnnxModel, table: Table) -> dict[str, Any]:
    """Return how good a model is on rows: ``first last rows metrics psi``.

    Raises:
        ModelError: No row has a label.

    """
    manifest, known = model.manifest, table.known()
    if not len(known):
        raise ModelError(manifest.name, "no row has a label", hint="the horizon is not over yet")
    said = model.predict_many(known.values)
    columns = dict(zip(manifest.features.columns, known.values.T, strict=True))
    drift = {
        name: psi(histogram.shares, _counts(columns[name], histogram.edges))
        for name, histogram in manifest.histograms.items()
    }
    span = _span(known)
    return {**span.model_dump(), "metrics": known.quality(manifest.target, said), "psi": drift}


def _fitted(order: Order, fit: Table) -> Any:  # noqa: ANN401 - scikit-learn ships no types
    try:
        estimator = ESTIMATORS[order.estimator].make(order.parameters)
        with need("threadpoolctl").threadpool_limits(1):
            return estimator.fit(fit.values, fit.labels)
    except (TypeError, ValueError) as error:
        why = f"{order.estimator} refuses: {str(error).splitlines()[0]}"
        raise ModelError(order.name, why) from None


def _enough(order: Order, fit: Table, judge: Table) -> None:
    if len(fit) < _LEAST_ROWS or len(judge) < _LEAST_ROWS:
        why = f"{len(fit)} rows to fit on and {len(judge)} to judge by, at least {_LEAST_ROWS} each"
        raise ModelError(order.name, why, hint="compute features of more klines")
    if order.target.kind == "up" and len(np.unique(fit.labels)) < 2:
        raise ModelError(order.name, "all labels are the same: there is nothing to learn")


def _difference(
    estimator: Any, rows: Floats, said: Floats, *, classifies: bool  # noqa: ANN401 - likewise
) -> float:  # fmt: skip
    own = estimator.predict_proba(rows)[:, 1] if classifies else estimator.predict(rows)
    return float(np.abs(np.asarray(own, np.float64).ravel() - said).max())


def _manifest(order: Order, fit: Table, judge: Table, known: Table, output: Output) -> Manifest:
    columns = zip(order.features.features, fit.values.T, strict=True)
    return Manifest(
        name=order.name,
        version="",
        estimator=order.estimator,
        target=order.target,
        features=order.features,
        definition=order.features.definition,
        keys=known.keys,
        train=_span(fit),
        valid=_span(judge),
        data=known.digest(),
        metrics={},
        histograms={f.column: _histogram(values) for f, values in columns if not f.is_clock},
        output=output,
        libraries={name: str(need(name).__version__) for name in _LIBRARIES},
        parameters=dict(order.parameters),
    )


def _histogram(column: Floats) -> Histogram:
    inner = edges(column)
    return Histogram(edges=tuple(inner), shares=tuple(shares(_counts(column, tuple(inner)))))


def _counts(column: Floats, inner: tuple[float, ...]) -> list[int]:
    bins = np.searchsorted(np.array(inner), column, side="right")
    counts: list[int] = np.bincount(bins, minlength=len(inner) + 1).tolist()
    return counts


def _span(table: Table) -> Span:
    first, last = int(table.open_us[0]), int(table.open_us[-1])
    return Span(rows=len(table), first=time_text(first), last=time_text(last))
