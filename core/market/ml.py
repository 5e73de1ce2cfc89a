"""What models see and say: rows of features, predictions, and how good these were.

All are records of one final kline: `open_us` and `close_us` are its window, and they leave the flow
right before it. Numbers are float64.
"""

from dataclasses import dataclass

from core.market.intervals import Interval


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """What a set of features is at the end of a kline: a row to learn from, and to predict with.

    Attributes:
        key: The instrument's key.
        features: Name of the set.
        definition: Hash of what the set computes; the names of its columns are in its definition.
        open_us: Start of the kline.
        close_us: Last microsecond of the kline.
        close: The kline's close as exact text: labels are made of it.
        values: One finite number per feature, in the order of the definition.
        seq: Data position at which it was emitted; rises within the instrument's rows.

    """

    key: str
    interval: Interval
    features: str
    definition: str
    open_us: int
    close_us: int
    close: str
    values: tuple[float, ...]
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a version of a model says at the end of a kline.

    Attributes:
        key: The instrument's key.
        model: Name of the model.
        version: Which version of it; empty where there is none.
        definition: Hash of the features it sees.
        open_us: Start of the kline.
        close_us: Last microsecond of the kline.
        value: The probability of a rise, or the return to be expected; None: not known.
        reason: Why it is not known; empty otherwise.
        shadow: Whether it is only scored: no strategy sees it.
        seq: Data position at which it was emitted; rises within the instrument's predictions.

    """

    key: str
    interval: Interval
    model: str
    version: str
    definition: str
    open_us: int
    close_us: int
    value: float | None
    reason: str = ""
    shadow: bool = False
    seq: int = 0


@dataclass(frozen=True, slots=True)
class ModelScore:
    """How a version did of late, and how far what it sees is from what it was trained on.

    Attributes:
        key: The instrument's key.
        model: Name of the model.
        version: Which version of it.
        shadow: Whether no strategy sees it.
        open_us: Start of the kline at which it was computed.
        close_us: Last microsecond of that kline.
        rows: Predictions whose outcome is known, at most the window's length.
        accuracy: Share of them that had the direction right; None where there are none.
        baseline: Share that the more frequent direction has: what a constant would have reached.
        error: Mean squared error: the Brier score of probabilities.
        ic: Spearman's correlation of prediction and return; None where one of them is constant.
        psi: By feature, the population stability index against the training rows.
        seq: Data position at which it was emitted; rises within the instrument's scores.

    """

    key: str
    interval: Interval
    model: str
    version: str
    shadow: bool
    open_us: int
    close_us: int
    rows: int
    accuracy: float | None
    baseline: float | None
    error: float | None
    ic: float | None
    psi: tuple[tuple[str, float], ...] = ()
    seq: int = 0


Learned = FeatureRow | Prediction | ModelScore
"""The records of models."""
