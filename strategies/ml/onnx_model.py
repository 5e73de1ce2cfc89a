"""A trained model, run by onnxruntime: one thread, one processor, the same bits every time."""

from typing import Any

import numpy as np

from core.market.errors import ModelError
from strategies.ml.columns import Values
from strategies.ml.extra import need
from strategies.ml.labels import Floats
from strategies.ml.manifest import Manifest

_ERRORS_ONLY = 3
_DTYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
}


class OnnxModel:
    """A version of a model.

    Args:
        manifest: What is known of it.
        graph: The bytes of its ONNX graph: one input of rows of features, float64 or float32.

    Raises:
        ModelError: The graph cannot be read, or does not take these features.
        ConfigError: onnxruntime is not installed.

    """

    def __init__(self, manifest: Manifest, graph: bytes) -> None:
        self.manifest = manifest
        runtime = need("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session: Any = runtime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common base
            why = f"version {manifest.version}: {str(error).splitlines()[0]}"
            raise ModelError(manifest.name, why) from None
        self._input, self._dtype = self._taken()
        self._output = [manifest.output.name]

    def predict(self, values: Values) -> float:
        """Return the prediction of a row of features."""
        row = np.array([values], self._dtype)
        (out,) = self._session.run(self._output, {self._input: row})
        return float(out.reshape(1, -1)[0, self.manifest.output.column])

    def predict_many(self, rows: Floats) -> Floats:
        """Return the predictions of rows; shape (n, features) → (n,).

        Sums may round in another order than `predict` has, which moves the last bit.
        """
        (out,) = self._session.run(self._output, {self._input: rows.astype(self._dtype)})
        column = self.manifest.output.column
        said: Floats = out.reshape(len(rows), -1)[:, column].astype(np.float64)
        return said

    def _taken(self) -> tuple[str, type[np.floating[Any]]]:
        (taken, *more), manifest = self._session.get_inputs(), self.manifest
        width = taken.shape[-1] if taken.shape else None
        features = len(manifest.features.features)
        outputs = [one.name for one in self._session.get_outputs()]
        if more or taken.type not in _DTYPES or width not in (features, None):
            why = f"its graph takes {taken.type} {taken.shape}, expected rows of {features} floats"
            raise ModelError(manifest.name, why)
        if manifest.output.name not in outputs:
            why = f"its graph gives {' '.join(outputs)}, not `{manifest.output.name}`"
            raise ModelError(manifest.name, why)
        return taken.name, _DTYPES[taken.type]
