"""Writes the tables in docs/reference/metrics.md anew, from the catalogues.

python -m tools.metrics
"""

from collections.abc import Iterable
from pathlib import Path

from api.metrics import ApiMetrics
from telemetry.catalogue import Described
from telemetry.metrics import FLOW
from tools.indicators import drawn

PAGE = Path(__file__).parents[1] / "docs/reference/metrics.md"


def table(metrics: Iterable[Described]) -> str:
    """Return metrics as a table."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for one in metrics:
        labels = ", ".join(f"`{label}`" for label in one.labels) or "none"
        meaning = one.help.replace("|", "\\|")
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {meaning} |")
    return "\n".join(lines)


def written(text: str) -> str:
    """Return the page with its tables as they should be."""
    text = drawn(text, "flow", table(FLOW))
    return drawn(text, "api", table(ApiMetrics().catalogue))


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
