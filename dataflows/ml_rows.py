"""Rows of features in a lake → tables to learn from: numbers, labels, and where they end."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from connectors.parquet.learned import read_features
from core.market.errors import FileError, ModelError
from core.market.intervals import interval
from core.market.ml import FeatureRow
from strategies.ml.features import FeatureSet
from strategies.ml.labels import Floats, Ints, Target, labels
from strategies.ml.metrics import quality


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of time, of all instruments together.

    Attributes:
        keys: Keys of the instruments.
        key: Which of them each row is of; shape (n,).
        open_us: Starts of the klines; shape (n,).
        values: Features; shape (n, columns).
        labels: What they turned out to be, NaN where that is not known; shape (n,).
        changes: The logarithmic returns; shape (n,).
        ends: Starts of the klines at whose close the labels are known; shape (n,).

    """

    keys: tuple[str, ...]
    key: Ints
    open_us: Ints
    values: Floats
    labels: Floats
    changes: Floats
    ends: Ints

    def __len__(self) -> int:
        return len(self.open_us)

    def take(self, index: "NDArray[np.bool_] | Ints") -> "Table":
        """Return the rows that `index` selects."""
        arrays = ("key", "open_us", "values", "labels", "changes", "ends")
        return replace(self, **{name: getattr(self, name)[index] for name in arrays})

    def known(self) -> "Table":
        """Return the rows that have a label."""
        return self.take(~np.isnan(self.labels))

    def digest(self) -> str:
        """Return the hash of all rows."""
        found = sha256("\n".join(self.keys).encode())
        for column in (self.key, self.open_us, self.values, self.labels):
            found.update(np.ascontiguousarray(column).tobytes())
        return found.hexdigest()

    def quality(self, target: Target, said: Floats) -> dict[str, float]:
        """Return the metrics of predictions of these rows, which have labels."""
        return quality(target, self.labels, self.changes, said)


def read_table(
    lake: Path, features: FeatureSet, target: Target, symbols: Collection[str] | None = None
) -> Table:
    """Return the rows that a lake holds of a set of features.

    Raises:
        ModelError: It holds none of this definition.
        FileError: It cannot be read.

    """
    own: dict[str, dict[int, FeatureRow]] = {}
    others, definition = set(), features.definition
    try:
        for row in read_features(lake, features.name, symbols, pending=True):
            if row.definition == definition:
                own.setdefault(row.key, {}).setdefault(row.open_us, row)
            else:
                others.add(row.definition)
    except FileError as error:
        if lake.exists():
            raise
        raise ModelError(features.name, str(error), hint=_hint(features)) from None
    if not own:
        said = f", but of {' '.join(sorted(others))}: the set was changed since" if others else ""
        why = f"{lake} holds no rows of definition {definition}{said}"
        raise ModelError(features.name, why, hint=_hint(features))
    tables = [_of(n, own[key], features, target) for n, key in enumerate(sorted(own))]
    return _together(tuple(sorted(own)), tables)


def split(table: Table, holdout: float) -> tuple[Table, Table]:
    """Return earlier rows to fit on and later ones to judge by; neither knows of the other.

    Rows whose horizon reaches into the later part are in neither.
    """
    cut = int(np.quantile(table.open_us, 1.0 - holdout, method="higher"))
    return table.take(table.ends < cut), table.take(table.open_us >= cut)


def _of(n: int, rows: dict[int, FeatureRow], features: FeatureSet, target: Target) -> Table:
    ordered = [rows[at] for at in sorted(rows)]
    of = interval(features.interval)
    open_us = np.array([row.open_us for row in ordered], np.int64)
    found, changes = labels(target, of, open_us, np.array([float(row.close) for row in ordered]))
    ends = np.array([target.ends(row.open_us, of) for row in ordered], np.int64)
    values = np.array([row.values for row in ordered], np.float64)
    return Table((), np.full(len(ordered), n), open_us, values, found, changes, ends)


def _together(keys: tuple[str, ...], tables: list[Table]) -> Table:
    names = ("key", "open_us", "values", "labels", "changes", "ends")
    joined = {name: np.concatenate([getattr(t, name) for t in tables]) for name in names}
    table = Table(keys, **joined)
    return table.take(np.lexsort((table.key, table.open_us)))


def _hint(features: FeatureSet) -> str:
    return f"compute them: cryptotools ml features FILES --features {features.name} --lake LAKE"
