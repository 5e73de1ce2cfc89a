"""How good predictions are, and how far rows are from those that a model was trained on."""

from collections.abc import Sequence
from math import log

import numpy as np

from strategies.ml.labels import Floats, Target

_BINS = 10
_LEAST = 1e-4
"""Share that an empty bin counts as, so that its logarithm exists."""


def ranks(values: Floats) -> Floats:
    """Return ranks from 1 on, ties as their mean.

    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], len(values)]
    out = np.empty(len(values))
    out[order] = np.repeat((starts + ends + 1) / 2.0, ends - starts)
    return out


def spearman(one: Floats, other: Floats) -> float | None:
    """Return the rank correlation; None for fewer than two rows, or where one is constant.

    >>> spearman(np.array([1.0, 2.0, 9.0]), np.array([0.0, 1.0, 2.0]))
    1.0
    """
    if len(one) < 2:
        return None
    a, b = ranks(one), ranks(other)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else None


def auc(labels: Floats, said: Floats) -> float | None:
    """Return how often a rise got a higher probability than a fall (Mann-Whitney).

    >>> auc(np.array([0.0, 0.0, 1.0]), np.array([0.1, 0.4, 0.4]))
    0.75
    """
    rises = int((labels > 0).sum())
    falls = len(labels) - rises
    if not rises or not falls:
        return None
    above = float(ranks(said)[labels > 0].sum()) - rises * (rises + 1) / 2
    return above / (rises * falls)


def quality(target: Target, labels: Floats, changes: Floats, said: Floats) -> dict[str, float]:
    """Return the metrics of predictions by name; what has no value is left out.

    Args:
        target: What was predicted.
        labels: What it turned out to be; shape (n,), no NaN.
        changes: The returns; shape (n,).
        said: The predictions; shape (n,).

    Returns:
        ``rows``; ``accuracy`` (share with the right direction), ``baseline_accuracy`` (share of the
        more frequent direction), ``ic`` (Spearman's correlation with the return); of rises
        ``auc``, ``brier``, ``baseline_brier``; of returns ``r2``, ``mse``.

    """
    if not len(labels):
        return {"rows": 0}
    up = changes > 0
    middle = 0.5 if target.kind == "up" else 0.0
    share = float(up.mean())
    found: dict[str, float | None] = {
        "rows": len(labels),
        "accuracy": float(((said > middle) == up).mean()),
        "baseline_accuracy": max(share, 1.0 - share),
        "ic": spearman(said, changes),
    }
    squares = float(((said - labels) ** 2).mean())
    if target.kind == "up":
        base = float(labels.mean())
        found |= {"auc": auc(labels, said), "brier": squares, "baseline_brier": base * (1 - base)}
    else:
        spread = float(((labels - labels.mean()) ** 2).mean())
        found |= {"mse": squares, "r2": 1.0 - squares / spread if spread else None}
    return {name: value for name, value in found.items() if value is not None}


def edges(column: Floats, bins: int = _BINS) -> list[float]:
    """Return the inner edges of bins that hold about as many rows each; fewer where rows repeat.

    >>> edges(np.arange(100.0), 4)
    [24.75, 49.5, 74.25]
    """
    inner = np.quantile(column, np.linspace(0, 1, bins + 1)[1:-1])
    return [float(x) for x in np.unique(inner)]


def shares(counts: Sequence[int]) -> list[float]:
    """Return what share of all each bin has."""
    total = sum(counts)
    return [count / total for count in counts] if total else [0.0 for _ in counts]


def psi(expected: Sequence[float], counts: Sequence[int]) -> float:
    """Return the population stability index: 0 for equal shares, above 0.25 a great change.

    The sum over the bins of (share - expected) ln(share / expected): the symmetric
    Kullback-Leibler divergence (Kullback and Leibler 1951; in this use, Siddiqi, *Credit Risk
    Scorecards*, 2006).

    >>> psi([0.5, 0.5], [10, 10]), round(psi([0.5, 0.5], [18, 2]), 3)
    (0.0, 0.879)
    """
    pairs = zip(expected, shares(counts), strict=True)
    bounded = ((max(e, _LEAST), max(a, _LEAST)) for e, a in pairs)
    return sum((a - e) * log(a / e) for e, a in bounded)
