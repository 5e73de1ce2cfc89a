"""What was run: all that a report says of a back-test beside its results."""

from collections.abc import Mapping
from dataclasses import dataclass

from dataflows.backtest_hash import DataFile

MOST_ROWS = 20
"""Combinations in a table, unless more are asked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """What was run.

    Attributes:
        digest: The run's hash.
        files: What was read.
        settings: Those that matter, as plain values.
        code: Hashes of the code, by name.
        versions: Of what computed.
        refused: Combinations that a strategy does not take.
        sort: The figure by which results are ordered, a name of `SORTS`.
        top: Rows of the table of combinations.

    """

    digest: str
    files: tuple[DataFile, ...]
    settings: Mapping[str, object]
    code: Mapping[str, str]
    versions: Mapping[str, str]
    refused: tuple[tuple[str, str], ...] = ()
    sort: str = "sharpe"
    top: int = MOST_ROWS
