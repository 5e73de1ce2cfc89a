"""A model that learns in the flow, one label at a time; its state is bytes with a version.

The bytes are river's own objects as pickled, so they are good for the river that wrote them only:
with another one the model begins anew, and says so.
"""

import pickle
from hashlib import sha256
from typing import Any, TypeAlias

from core.market.errors import SnapshotError
from strategies.ml.columns import Values
from strategies.ml.config import OnlineSpec
from strategies.ml.extra import need
from strategies.ml.features import FeatureSet

Snapshot: TypeAlias = tuple[str, str, str, int, bytes]
"""What it is: format, river's version, the model's version, labels learned, the pickled model."""

_FORMAT = "river-1"
_TREE_MIB = 2.0


class RiverModel:
    """Predicts, and learns.

    Args:
        spec: Which estimator, with what.
        features: What it sees.

    Attributes:
        version: Hash of both: with the same, a snapshot can be gone on from.
        learned: Labels so far.

    Raises:
        ConfigError: river is not installed.

    """

    def __init__(self, spec: OnlineSpec, features: FeatureSet) -> None:
        told = f"{spec.model_dump_json()} {features.definition}"
        self.version = sha256(told.encode()).hexdigest()[:12]
        self.spec, self.target = spec, spec.target
        self.learned = 0
        self._names = features.columns
        self._river = str(need("river").__version__)
        self._model = _made(spec)

    def predict(self, values: Values) -> float | None:
        """Return the prediction of a row; None until it has learned enough."""
        if self.learned < self.spec.ready:
            return None
        row = dict(zip(self._names, values, strict=True))
        if self.target.kind == "up":
            return float(self._model.predict_proba_one(row).get(True, 0.5))
        return float(self._model.predict_one(row))

    @property
    def waiting(self) -> str:
        """Why it predicts nothing yet."""
        return f"learned {self.learned} of {self.spec.ready} labels"

    def learn(self, values: Values, label: float) -> None:
        """Learn what a row turned out to be."""
        row = dict(zip(self._names, values, strict=True))
        self._model.learn_one(row, bool(label) if self.target.kind == "up" else label)
        self.learned += 1

    def snapshot(self) -> Snapshot:
        """Return its state."""
        body = pickle.dumps(self._model, protocol=5)
        return (_FORMAT, self._river, self.version, self.learned, body)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of our own recovery store.

        Raises:
            SnapshotError: It is of another river, or of another model.

        """
        own = (_FORMAT, self._river, self.version)
        if tuple(snapshot[:3]) != own:
            raise SnapshotError("a river model", snapshot[:3], own)
        self.learned = snapshot[3]
        self._model = pickle.loads(snapshot[4])


def _made(spec: OnlineSpec) -> Any:  # noqa: ANN401 - river's own classes have no common type
    if spec.estimator == "tree":
        return need("river.tree").HoeffdingAdaptiveTreeClassifier(
            seed=0, max_size=_TREE_MIB, grace_period=100
        )
    optimizer = need("river.optim").SGD(spec.rate)
    scaler = need("river.preprocessing").StandardScaler()
    linear = need("river.linear_model")
    if spec.estimator == "logistic":
        return scaler | linear.LogisticRegression(optimizer=optimizer)
    scaled = need("river.preprocessing").TargetStandardScaler
    return scaler | scaled(linear.LinearRegression(optimizer=optimizer))
