"""Estimators of scikit-learn → ONNX in float64, so that it says what the estimator says.

skl2onnx writes linear models in float64. Of boosted trees it makes graphs of float32, in which rows
near a split fall on its other side; they are written here, as `TreeEnsemble` of ai.onnx.ml 5.
"""

from typing import Any

import numpy as np

from strategies.ml.extra import need
from strategies.ml.manifest import Output

_INPUT, _VALUE = "features", "value"
_OPSET, _ML_OPSET, _IR = 18, 5, 10
_SUM, _NONE = 1, 0


def export(estimator: Any, width: int, *, classifies: bool) -> tuple[bytes, Output]:  # noqa: ANN401 - scikit-learn ships no types
    """Return the graph of a fitted estimator, and where its prediction is.

    Args:
        estimator: A pipeline of linear parts, or a histogram gradient boosting.
        width: How many features it takes.
        classifies: Whether the prediction is the probability of the second class.

    """
    if hasattr(estimator, "_predictors"):
        return _trees(estimator, width, classifies=classifies), Output(name=_VALUE)
    kinds = need("skl2onnx.common.data_types")
    options = {id(estimator): {"zipmap": False}} if classifies else {}
    graph = need("skl2onnx").to_onnx(
        estimator,
        name="model",
        initial_types=[(_INPUT, kinds.DoubleTensorType([None, width]))],
        options=options,
    )
    output = Output(name="probabilities", column=1) if classifies else Output(name="variable")
    return bytes(graph.SerializeToString()), output


def _trees(estimator: Any, width: int, *, classifies: bool) -> bytes:  # noqa: ANN401 - likewise
    onnx, helper, arrays = need("onnx"), need("onnx.helper"), need("onnx.numpy_helper")
    trees = _Trees()
    for (tree,) in estimator._predictors:  # noqa: SLF001 - its only account of its trees
        trees.add(tree.nodes)
    ensemble = helper.make_node(
        "TreeEnsemble", [_INPUT], ["trees"], domain="ai.onnx.ml", n_targets=1,
        aggregate_function=_SUM, post_transform=_NONE, tree_roots=trees.roots,
        nodes_featureids=trees.features, nodes_splits=arrays.from_array(np.array(trees.splits)),
        nodes_modes=arrays.from_array(np.zeros(len(trees.features), np.uint8)),
        nodes_truenodeids=trees.true_ids, nodes_falsenodeids=trees.false_ids,
        nodes_trueleafs=trees.true_leafs, nodes_falseleafs=trees.false_leafs,
        leaf_targetids=[0] * len(trees.weights),
        leaf_weights=arrays.from_array(np.array(trees.weights)),
    )  # fmt: skip
    base = np.asarray(estimator._baseline_prediction, np.float64).reshape(1, 1)  # noqa: SLF001 - likewise
    nodes = [
        ensemble,
        helper.make_node("Add", ["trees", "base"], ["raw"]),
        helper.make_node("Sigmoid" if classifies else "Identity", ["raw"], [_VALUE]),
    ]
    double = onnx.TensorProto.DOUBLE
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(_INPUT, double, [None, width])],
        [helper.make_tensor_value_info(_VALUE, double, [None, 1])],
        [arrays.from_array(base, "base")],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
    return bytes(made.SerializeToString())


class _Trees:
    """Nodes and leaves of all trees, in the lists that the operator takes."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.features: list[int] = []
        self.splits: list[float] = []
        self.weights: list[float] = []
        self.true_ids: list[int] = []
        self.false_ids: list[int] = []
        self.true_leafs: list[int] = []
        self.false_leafs: list[int] = []

    def add(self, nodes: Any) -> None:  # noqa: ANN401 - a structured array
        """Take a tree, as scikit-learn lays it out."""
        leaf = [bool(node["is_leaf"]) for node in nodes]
        if leaf[0]:
            # The operator has no tree of a leaf alone: both ways lead to it.
            self._stump(float(nodes[0]["value"]))
            return
        place: list[int] = []
        inner, leaves = len(self.features), len(self.weights)
        for is_leaf in leaf:
            place.append(leaves if is_leaf else inner)
            inner, leaves = (inner, leaves + 1) if is_leaf else (inner + 1, leaves)
        self.roots.append(place[0])
        for node, is_leaf in zip(nodes, leaf, strict=True):
            if is_leaf:
                self.weights.append(float(node["value"]))
                continue
            left, right = int(node["left"]), int(node["right"])
            self._node(int(node["feature_idx"]), float(node["num_threshold"]),
                       (place[left], leaf[left]), (place[right], leaf[right]))  # fmt: skip

    def _stump(self, value: float) -> None:
        self.roots.append(len(self.features))
        at = (len(self.weights), True)
        self._node(0, 0.0, at, at)
        self.weights.append(value)

    def _node(
        self, feature: int, split: float, true: tuple[int, bool], false: tuple[int, bool]
    ) -> None:
        self.features.append(feature)
        self.splits.append(split)
        self.true_ids.append(true[0])
        self.true_leafs.append(int(true[1]))
        self.false_ids.append(false[0])
        self.false_leafs.append(int(false[1]))
