"""One measured figure and its budget."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """A figure. `at_most` says which side of the budget is the good one.

    Absolute times depend on the machine and its other guests; `against` is a ratio of the same
    run and depends on neither.
    """

    name: str
    value: float
    unit: str
    budget: float | None = None
    at_most: bool = False
    against: str = ""

    @property
    def verdict(self) -> Literal["met", "missed", ""]:
        """Whether the budget is met."""
        if self.budget is None:
            return ""
        good = self.value <= self.budget if self.at_most else self.value >= self.budget
        return "met" if good else "missed"
