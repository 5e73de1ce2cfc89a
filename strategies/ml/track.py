"""What a version of a model said, what came of it, and what it has seen: bounded, and plain."""

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from struct import Struct
from typing import Any

import numpy as np

from core.market.kline import Kline
from strategies.ml.columns import Values
from strategies.ml.config import ScoresConfig
from strategies.ml.labels import Target, change
from strategies.ml.manifest import Histogram
from strategies.ml.metrics import psi, quality

_PAIR = Struct("<dd")
_WAITING = Struct("<qdd")


class Track:
    """Keeps account of one version.

    Args:
        target: What it predicts.
        scores: How long the windows are.
        histograms: By feature, how the training rows were distributed; empty: not known.
        columns: Names of all features, in the order of a row.

    """

    def __init__(
        self,
        target: Target,
        scores: ScoresConfig,
        histograms: Mapping[str, Histogram],
        columns: tuple[str, ...] = (),
    ) -> None:
        self._target, self._scores = target, scores
        self._edges = [(columns.index(name), h.edges) for name, h in histograms.items()]
        self._expected = [h.shares for h in histograms.values()]
        self._names = tuple(histograms)
        self.klines = 0
        self._waiting: deque[tuple[int, float, float]] = deque()
        self._known: deque[tuple[float, float]] = deque(maxlen=scores.window)
        self._bins: deque[bytes] = deque(maxlen=scores.window)

    @property
    def due(self) -> bool:
        """Whether a score is to be said at this kline."""
        return self.klines % self._scores.every == 0

    def settle(self, kline: Kline) -> None:
        """Take the next kline: what was said of it is compared."""
        self.klines += 1
        while self._waiting and self._waiting[0][0] <= kline.open_us:
            end_us, said, before = self._waiting.popleft()
            moved = change(before, kline.close) if end_us == kline.open_us else None
            if moved is not None and self._target.label(moved) is not None:
                self._known.append((said, moved))

    def expect(self, kline: Kline, said: float) -> None:
        """Note a prediction, to be compared when its horizon ends."""
        end_us = self._target.ends(kline.open_us, kline.interval)
        self._waiting.append((end_us, said, kline.close))

    def see(self, values: Values) -> None:
        """Note in which bins a row of features falls."""
        if self._edges:
            self._bins.append(bytes(bisect_right(edges, values[n]) for n, edges in self._edges))

    def quality(self) -> dict[str, float]:
        """Return the metrics of the predictions in the window."""
        table = np.array(self._known, dtype=np.float64).reshape(-1, 2)
        said, moved = table[:, 0], table[:, 1]
        labels = [self._target.label(m) for m in moved.tolist()]
        known = np.array([x for x in labels if x is not None], dtype=np.float64)
        return quality(self._target, known, moved, said)

    def drift(self) -> tuple[tuple[str, float], ...]:
        """Return the stability index of each feature; nothing until the window is half full."""
        if 2 * len(self._bins) < self._scores.window:
            return ()
        rows = np.frombuffer(b"".join(self._bins), np.uint8).reshape(len(self._bins), -1)
        found = []
        for name, column, expected in zip(self._names, rows.T, self._expected, strict=True):
            counts = np.bincount(column, minlength=len(expected)).tolist()
            found.append((name, psi(expected, counts)))
        return tuple(found)

    def snapshot(self) -> tuple[Any, ...]:
        """Return the state as plain values."""
        waiting = b"".join(_WAITING.pack(*row) for row in self._waiting)
        known = b"".join(_PAIR.pack(*row) for row in self._known)
        return (self.klines, waiting, known, self._names, b"".join(self._bins))

    def restore(self, state: tuple[Any, ...]) -> None:
        """Go on from a snapshot of a track of the same version, with windows of any length."""
        self.klines, waiting, known, names, bins = state
        self._waiting.extend(_WAITING.iter_unpack(waiting))
        self._known.extend(_PAIR.iter_unpack(known))
        width = len(self._names)
        if names == self._names and width:
            self._bins.extend(bins[i : i + width] for i in range(0, len(bins), width))
